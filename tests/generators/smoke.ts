// What a program does with the client that openapi-typescript makes: node smoke.js BASE TOKEN
import createClient from "openapi-fetch";
import type { paths } from "./schema.js";

const [base, token] = process.argv.slice(2);
const client = createClient<paths>({
  baseUrl: `${base}/api/v1`,
  headers: { authorization: `Bearer ${token}` },
});

function expect(holds: boolean, what: string, found: unknown): asserts holds {
  if (!holds) throw new Error(`${what}: ${JSON.stringify(found)}`);
}

const made = await client.POST("/workspaces", {
  body: { workspace: { title: "From TypeScript" } },
});
expect(made.data !== undefined, "a workspace is made", made.error);
const workspace = made.data.results[0]?.id ?? "";

const created = await client.POST("/status_reports", {
  body: {
    status_report: {
      workspace_id: workspace,
      color: "green",
      description: "Started.",
      details: [{ category: "Scope", color: "red" }],
    },
  },
});
expect(created.data !== undefined, "a report is made", created.error);
const report = created.data.results[0]?.id ?? "";
const path = { id: report };

const shown = await client.GET("/status_reports/{id}", {
  params: { path, query: { include: "workspace" } },
});
const title = shown.data?.workspaces?.[workspace]?.title;
expect(title === "From TypeScript", "the workspace is beside the report", shown);

const changed = await client.PUT("/status_reports/{id}", {
  params: { path },
  body: { status_report: { color: "red" } },
});
expect(changed.data?.status_reports[report]?.color === "red", "it is changed", changed);

const listed = await client.GET("/status_reports", {
  params: { query: { workspace_id: workspace, color: "red", per_page: 5 } },
});
expect(listed.data?.count === 1, "it is listed", listed);

const streamed = await client.GET("/status_reports.ndjson", {
  parseAs: "text",
  params: { query: { workspace_id: workspace } },
});
expect(JSON.parse(streamed.data ?? "{}").color === "red", "it is streamed", streamed);

const gone = await client.DELETE("/status_reports/{id}", { params: { path } });
expect(gone.response.status === 204, "it is deleted", gone.error);

const refused = await client.GET("/status_reports/{id}", { params: { path } });
expect(refused.error?.errors[0]?.type === "system", "it is not there", refused);
