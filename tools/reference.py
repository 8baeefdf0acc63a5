"""Writes the reference pages that follow from the code: settings, commands, API and limits.

`make docs` runs it. A test compares the files in docs/reference with what it returns.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from commands import COMMANDS, Command
from healthreports.contract.openapi import document
from healthreports.core import vocabulary
from healthreports.settings import OneSetting, every_setting

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MADE = "<!-- `make docs` writes this page from the code. Do not edit it. -->\n\n"

# Where a setting is explained at more length.
SEE = {
    "socket": "[Behind a proxy](../how-to/proxies.md)",
    "public_url": "[Behind a proxy](../how-to/proxies.md)",
    "trusted_proxies": "[Behind a proxy](../how-to/proxies.md)",
    "workers": "[Growing](../explanation/growing.md)",
    "read_database": "[PostgreSQL](../how-to/postgresql.md)",
    "metrics_port": "[Metrics](metrics.md)",
    "otlp_endpoint": "[Metrics](metrics.md#traces)",
    "log_format": "[Logs](logs.md)",
    "access_log": "[Logs](logs.md)",
    "audit_days": "[Audit log](audit.md)",
    "oidc_issuer": "[OpenID Connect](../how-to/openid-connect.md)",
}


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table. A vertical bar in a cell is escaped."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def settings() -> str:
    return (
        "# Settings\n\n" + MADE + "A setting comes from a flag or from the environment. A flag "
        "overrides the environment, and may stand before or after the command. Values are numbers, "
        "text, or `true` and `false`. `healthreports config check` shows every setting in force, "
        "where it comes from and what is wrong with it. An invalid setting stops the start with "
        "one sentence that says what to write instead.\n\n"
        + table(
            ("setting", "flag", "default", "what it is"),
            (_setting(one) for one in every_setting()),
        )
        + "\nKubernetes sets variables like `HEALTHREPORTS_PORT=tcp://…` for a Service with the "
        "name `healthreports`. They are recognised and ignored.\n"
    )


def _setting(one: OneSetting) -> tuple[str, str, str, str]:
    default = "(none)" if one.default in {None, ""} else f"`{one.default}`"
    see = f". See {SEE[one.name]}" if one.name in SEE else ""
    return f"`{one.variable}`", f"`{one.flag}`" if one.flag else "(none)", default, one.says + see


ABOUT_COMMANDS = """\
Every command has `--help`. Settings are flags of every command, before or after its name; they are
listed in [Settings](settings.md). `healthreports --version` prints the version, and `healthreports
--install-completion` completes commands with the Tab key.

Lists are tables on a terminal and columns separated by tabs in a pipe. With `--json` they are one
JSON object on each line.

"""
EXIT_CODES = (
    ("0", "success"),
    ("1", "the command failed; one line says why"),
    ("2", "the command line is invalid"),
    ("130", "the command was interrupted"),
)


def commands() -> str:
    links = ((f"[`healthreports {one.path}`](#{_anchor(one)})", one.says) for one in COMMANDS)
    found = ["# Commands\n\n", MADE, ABOUT_COMMANDS, table(("exit code", "meaning"), EXIT_CODES)]
    found += ["\n", table(("command", "what it does"), links)]
    for one in COMMANDS:
        found += ["\n", *_command(one)]
    return "".join(found)


def _anchor(one: Command) -> str:
    return f"healthreports-{one.path.replace(' ', '-')}"


def _command(one: Command) -> Iterator[str]:
    yield f"## healthreports {one.path}\n\n"
    yield "\n\n".join(" ".join(part.split()) for part in one.command.help.split("\n\n"))
    yield f"\n\n```console\n$ {one.example}\n```\n"
    rows = [
        (_name(param), "yes" if param.required else "no", _says(param))
        for param in one.command.params
        if param.rich_help_panel != "Settings"
    ]
    if rows:
        yield "\n" + table(("argument or option", "required", "what it is"), rows)


def _name(param: Any) -> str:
    if param.param_type_name == "argument":
        return f"`{param.metavar or param.name.upper()}`"
    return ", ".join(f"`{option}`" for option in (*param.opts, *param.secondary_opts))


def _says(param: Any) -> str:
    says = param.help or ""
    annotation = param.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        says += f" One of {', '.join(f'`{one.value}`' for one in annotation)}."
    if not (param.required or param.default in {None, False, ""}):
        says += f" Default: `{getattr(param.default, 'value', param.default)}`."
    return says


METHODS = ("get", "post", "put", "patch", "delete")
# Parameters that most lists have, in one table at the top of the page.
SHARED = (
    "page",
    "per_page",
    "limit",
    "offset",
    "only",
    "If-None-Match",
    "If-Match",
    "Idempotency-Key",
)


ABOUT_API = """\
All paths are below `/api/v1`, and are answered with and without `.json` at the end. Send
`Authorization: Bearer` with a token. Bodies are JSON or forms, in the way that Rails writes them.
Ids are text; in a body a whole number is accepted too. The full rules are in the
[contract](contract/protocol.md). *(extension)* marks what this server adds to the API of Kantata
OX; extensions are opt-in, so an existing client does not see them.

A running server shows the same calls at `/docs`, where you can try them, and the OpenAPI 3.1
document at `/api/v1/openapi.json`; `healthreports openapi` prints it.

"""
ABOUT_ERRORS = """
## Errors

An error has `errors`, a list of objects with `type`, `message` and, for an attribute, `field`.

"""


class Call(NamedTuple):
    method: str
    path: str
    says: dict[str, Any]  # the operation of the OpenAPI document

    @property
    def parameters(self) -> list[dict[str, Any]]:
        return self.says.get("parameters", [])


def api() -> str:
    whole = document()
    calls = [
        Call(method.upper(), path, item[method])
        for path, item in whole["paths"].items()
        for method in METHODS
        if method in item
    ]
    shared = {one["name"]: one for call in calls for one in call.parameters}
    answers = {
        status: answer["description"]
        for call in reversed(calls)
        for status, answer in call.says["responses"].items()
        if status >= "400"
    }
    links = (
        (
            f"[`{call.method} {call.path}`](#{call.says['operationId'].lower()})",
            call.says["summary"],
        )
        for call in calls
    )
    common = (_parameter(shared[name], place=True) for name in SHARED)
    found = ["# API\n\n", MADE, ABOUT_API, "## Calls\n\n", table(("call", "what it does"), links)]
    found += ["\n## Parameters that many calls have\n\n"]
    found += [table(("parameter", "in", "type", "what it is"), common)]
    found += [ABOUT_ERRORS, table(("status", "meaning"), sorted(answers.items()))]
    for tag in dict.fromkeys(call.says["tags"][0] for call in calls):
        found.append(f"\n## {tag}\n")
        for call in calls:
            if call.says["tags"][0] == tag:
                found += _call(call)
    found.append("\n## Objects\n")
    for name, schema in whole["components"]["schemas"].items():
        if not name.endswith("Envelope"):
            found += ["\n", f"### {name}\n\n", _attributes(schema)]
    return "".join(found)


def _call(call: Call) -> Iterator[str]:
    says = call.says
    yield f"\n### {says['operationId']}\n\n`{call.method} {call.path}`\n\n{says['summary']}.\n"
    own = [one for one in call.parameters if one["name"] not in {*SHARED, "id"}]
    common = [f"`{one['name']}`" for one in call.parameters if one["name"] in SHARED]
    if own:
        yield "\n" + table(("parameter", "type", "what it is"), map(_parameter, own))
    if common:
        link = "[shared parameters](#parameters-that-many-calls-have)"
        yield f"\nIt also has the {link} {', '.join(common)}.\n"
    if "requestBody" in says:
        schema = says["requestBody"]["content"]["application/json"]["schema"]
        rows = (
            (f"`{name}`", _type(one), "yes" if needed else "no")
            for name, one, needed in _flat(schema)
        )
        yield "\nBody:\n\n" + table(("attribute", "type", "required"), rows)


def _flat(schema: dict[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """The attributes of a body by their full names, and whether each is required."""
    for choice in schema.get("oneOf", ()) or schema.get("anyOf", ()):
        yield from _flat(choice, above)
        return
    for name, one in schema.get("properties", {}).items():
        needed = name in schema.get("required", ())
        full = f"{above}.{name}" if above else name
        yield full, one, needed
        yield from _flat(one, full)
        if "properties" in one.get("items", {}):
            yield from _flat(one["items"], f"{full}[]")


def _parameter(one: dict[str, Any], *, place: bool = False) -> tuple[str, ...]:
    kind = (one["in"],) if place else ()
    return f"`{one['name']}`", *kind, _type(one["schema"]), one.get("description", "")


def _attributes(schema: dict[str, Any]) -> str:
    rows = (
        (f"`{name}`", _type(one), "yes" if needed else "no") for name, one, needed in _flat(schema)
    )
    return table(("attribute", "type", "in every answer"), rows)


def _type(schema: dict[str, Any]) -> str:
    """The type of a value, its format and its bounds, in a few words."""
    if "enum" in schema:
        return " or ".join(f"`{one}`" for one in schema["enum"])
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[-1]
    kinds = schema.get("type", "object")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    said = " or ".join(_KINDS[kind] for kind in kinds)
    if schema.get("pattern") == "^[0-9]+$":
        said = said.replace("text", "id")
    if "format" in schema:
        said += f" ({schema['format']})"
    if "array" in kinds and schema.get("items"):
        said += f" of {_type(schema['items'])}"
    if "maxLength" in schema:
        said += f", at most {schema['maxLength']:,} characters"
    if "maxItems" in schema:
        said += f", at most {schema['maxItems']:,}"
    if "maximum" in schema:
        said += f", {schema.get('minimum', 0):,} to {schema['maximum']:,}"
    return said


_KINDS = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "`true` or `false`",
    "array": "list",
    "object": "object",
    "null": "`null`",
}

# The constants of core/vocabulary that limit something, each with its unit.
LIMITS = {
    "DEFAULT_PAGE_SIZE": ("records on a page, if `per_page` is not sent", "records"),
    "MAX_PAGE_SIZE": ("records on a page", "records"),
    "MAX_LISTED": ("ids, addresses or references in one filter", "values"),
    "DEFAULT_INCLUDE_LIMIT": ("included objects in one answer (setting)", "objects"),
    "MAX_BULK": ("participations that one request creates", "records"),
    "MAX_DESCRIPTION": ("description of a report or a workspace", "characters"),
    "MAX_DETAIL_DESCRIPTION": ("description of a category of a report", "characters"),
    "MAX_NAME": ("names and titles", "characters"),
    "MAX_ACCOUNT_NAME": ("the name that people sign in to an account by", "characters"),
    "MAX_LINK": ("an external link", "characters"),
    "DEFAULT_BODY_LIMIT_BYTES": ("the body of a request (setting)", "bytes"),
    "DEFAULT_UNSENT_LIMIT_BYTES": (
        "answers that wait for slow clients, in total (setting)",
        "bytes",
    ),
    "STRANGER_BODY_LIMIT_BYTES": ("a form from a browser that is not signed in", "bytes"),
    "MAX_BODY_DEPTH": ("nesting of a body", "levels"),
    "MAX_FORM_FIELDS": ("fields of a form", "fields"),
    "MAX_ID": ("an id", ""),
    "CODE_LIFETIME_S": ("an authorization code is valid", "seconds"),
    "ACCESS_TOKEN_LIFETIME_S": ("an access token is valid, by default", "seconds"),
    "REFRESH_TOKEN_LIFETIME_S": ("a refresh token is valid, from its last use", "seconds"),
    "MAX_REDIRECT_URIS": ("redirect URIs of an application", "addresses"),
    "MIN_PASSWORD": ("shortest password", "characters"),
    "MAX_PASSWORD": ("longest password", "characters"),
    "DEFAULT_SESSION_IDLE_H": ("an unused browser session is valid (setting)", "hours"),
    "DEFAULT_SESSION_DAYS": ("any browser session is valid (setting)", "days"),
    "MAX_DEVICE": ("the name of a device in the list of sessions", "characters"),
    "HALF_SIGN_IN_S": ("time between the password and the second factor", "seconds"),
    "PROOF_LASTS_S": ("a proof of identity is enough for sensitive actions", "seconds"),
    "CHALLENGE_LASTS_S": ("time to answer with a passkey", "seconds"),
    "MAX_FACTORS": ("second factors of a user", "factors"),
    "RECOVERY_CODES": ("recovery codes of a user", "codes"),
    "INVITATION_LIFETIME_S": ("an invitation is valid", "seconds"),
    "DEFAULT_SHARE_DAYS": ("a share link is valid, by default", "days"),
    "MAX_SHARE_DAYS": ("a share link is valid, at most", "days"),
    "DEFAULT_TOKEN_DAYS": ("a personal token is valid, by default", "days"),
    "MAX_TOKEN_DAYS": ("a personal token is valid, at most", "days"),
    "DEFAULT_TRASH_DAYS": ("a deleted report can be restored (setting)", "days"),
    "DEFAULT_AUDIT_DAYS": ("the audit log keeps the contents of entries (setting)", "days"),
}


def limits() -> str:
    rows = [
        (says, f"{getattr(vocabulary, name):,} {unit}".strip())
        for name, (says, unit) in LIMITS.items()
    ]
    return (
        "# Limits\n\n" + MADE + "A value above a limit is refused with an error that names the "
        "limit; nothing is cut off silently. The limits marked *(setting)* are defaults that a "
        "[setting](settings.md) changes. Rates of requests, open connections and times are "
        "settings too.\n\n" + table(("what", "limit"), rows)
    )


PAGES = {"settings.md": settings, "commands.md": commands, "api.md": api, "limits.md": limits}


if __name__ == "__main__":
    for name, write in PAGES.items():
        (FOLDER / name).write_text(write(), encoding="utf-8")
