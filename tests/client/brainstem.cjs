// Uses brainstem-js, the client of the original API, as a web page would: with its own models,
// collections and store, over jQuery and XMLHttpRequest in jsdom. The client is not modified.
//
// Backbone is 1.1.2, with which the client was developed: from 1.2 on, the clean-up of the client
// after a destroy is not called. jQuery is the version that the client depends on.
//
// Each step does one thing and returns what the client then shows; its requests are only recorded.
// Standard output is one JSON object: {step: {value | failed, requests}}. Standard error has the
// warnings and errors of the client and the page.

'use strict';

const { Console } = require('node:console');
const { JSDOM } = require('jsdom');

const { BASE_URL, TOKEN, EDITOR_TOKEN, WORKSPACE_ID, ARCHIVED_REPORT_ID } = process.env;
const API = '/api/v1';
const STEP_LIMIT_MS = 20_000;
const EVERYTHING = ['creator', 'updater', 'workspace', 'external_references'];

// The client writes warnings with console.log, but standard output is for the steps.
globalThis.console = new Console(process.stderr);

// A page of the server's own origin. The libraries look for these two names when they load.
const page = new JSDOM('<!doctype html>', { url: BASE_URL });
globalThis.window = page.window;
globalThis.document = page.window.document;

const $ = require('jquery');
const { Collection, Model, StorageManager } = require('brainstem-js');

const bearer = (token) => ({ Authorization: `Bearer ${token}` });
$.ajaxSetup({ headers: bearer(TOKEN) });

const requests = [];
$(document).ajaxSend((_event, xhr, sent) => {
  const url = new URL(sent.url, BASE_URL);
  const request = {
    method: sent.type,
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    body: sent.data ? JSON.parse(sent.data) : null,
    content_type: sent.data ? sent.contentType : null,
  };
  requests.push(request);
  xhr.always(() => {
    request.status = xhr.status;
  });
});

// -- the models, declared as in the client's handbook ---------------------------------------------

const User = Model.extend({ paramRoot: 'user', brainstemKey: 'users', urlRoot: `${API}/users` });
const Workspace = Model.extend(
  { paramRoot: 'workspace', brainstemKey: 'workspaces', urlRoot: `${API}/workspaces` },
  {
    associations: {
      creator: 'users',
      participants: ['users'],
      status_reports: ['status_reports'],
      current_status_report: 'status_reports',
    },
  },
);
const ExternalReference = Model.extend(
  {
    paramRoot: 'external_reference',
    brainstemKey: 'external_references',
    urlRoot: `${API}/external_references`,
  },
  { associations: { subject: ['status_reports', 'workspaces'] } },
);
const StatusReport = Model.extend(
  { paramRoot: 'status_report', brainstemKey: 'status_reports', urlRoot: `${API}/status_reports` },
  {
    associations: {
      creator: 'users',
      updater: 'users',
      workspace: 'workspaces',
      external_references: ['external_references'],
    },
  },
);

const collectionOf = (model) => Collection.extend({ model, url: model.prototype.urlRoot });
const Users = collectionOf(User);
const Workspaces = collectionOf(Workspace);
const ExternalReferences = collectionOf(ExternalReference);
const StatusReports = collectionOf(StatusReport);

const store = StorageManager.get();
store.addCollection('users', Users);
store.addCollection('workspaces', Workspaces);
store.addCollection('external_references', ExternalReferences);
store.addCollection('status_reports', StatusReports);

// -- helpers of the steps -------------------------------------------------------------------------

/** The records associated with the report, found by the client's own association code. */
function around(report) {
  return {
    id: report.id,
    workspace: report.get('workspace').get('title'),
    creator: report.get('creator').get('full_name'),
    updater: report.get('updater')?.get('full_name') ?? null,
    services: report.get('external_references').pluck('service_name'),
  };
}

/** Call `act`, which must fail. Returns what the `error` event and `error` callback received. */
async function refused(target, act) {
  const heard = { events: [], callbacks: [] };
  const told = (xhr) => ({ status: xhr.status, errors: xhr.responseJSON.errors });
  const listen = (_target, xhr) => heard.events.push(told(xhr));
  target.on('error', listen);
  try {
    await act({ error: (_target, xhr) => heard.callbacks.push(told(xhr)) });
    heard.succeeded = true;
  } catch (xhr) {
    heard.rejection = told(xhr);
  } finally {
    target.off('error', listen);
  }
  return heard;
}

const position = (reports) => ({
  ids: reports.pluck('id'),
  count: reports.getServerCount(),
  index: reports.getPageIndex(),
  previous: reports.hasPreviousPage(),
  next: reports.hasNextPage(),
});

/** Go forward from the first page to the last one, back by one, to the first and to the last. */
async function leaf(paging) {
  const reports = new StatusReports();
  await reports.fetch(paging);
  const forward = [position(reports)];
  while (reports.hasNextPage() && forward.length < 10) {
    await reports.getNextPage();
    forward.push(position(reports));
  }
  await reports.getPreviousPage();
  const back = position(reports);
  await reports.getFirstPage();
  const first = position(reports);
  await reports.getLastPage();
  return { forward, back, first, last: position(reports) };
}

// -- the steps --------------------------------------------------------------------------------------

let report; // The report that is created, changed and destroyed.
const more = []; // The ids of the other reports.

const steps = {
  async create() {
    report = new StatusReport();
    await report.save({
      workspace_id: WORKSPACE_ID,
      color: 'green',
      description: 'From a client that nobody here wrote.',
      details: [
        { category: 'Budget', color: 'red', description: 'Spent.' },
        { category: 'Scope', color: 'yellow' },
      ],
      external_reference: {
        service_name: 'tracker',
        service_model: 'Issue',
        service_model_ref: 'ISSUE-7',
      },
    });
    return {
      ...report.attributes,
      is_new: report.isNew(),
      is_stored: store.storage('status_reports').get(report.id) === report,
    };
  },

  async save_again() {
    // The client still has the `external_reference` that it sent, and sends it again.
    await report.save({ description: 'Saved again.' });
    await report.fetch({ include: 'external_references' });
    return {
      description: report.get('description'),
      services: report.get('external_references').pluck('service_name'),
    };
  },

  async create_and_include() {
    const other = new StatusReport();
    await other.save(
      {
        workspace_id: WORKSPACE_ID,
        color: 'red',
        description: 'With what belongs to it.',
        external_reference: {
          service_name: 'ledger',
          service_model: 'Entry',
          service_model_ref: '12',
        },
      },
      { include: EVERYTHING },
    );
    more.push(other.id);
    return around(other);
  },

  async create_more() {
    for (const color of ['green', 'yellow', 'red', 'green', 'yellow']) {
      const other = new StatusReport({ workspace_id: WORKSPACE_ID, color, description: color });
      await other.save();
      more.push(other.id);
    }
    return more;
  },

  async show() {
    const shown = new StatusReport({ id: report.id });
    await shown.fetch({ include: EVERYTHING });
    return { ...shown.attributes, around: around(shown) };
  },

  async list() {
    const reports = new StatusReports();
    await reports.fetch({ include: EVERYTHING });
    return {
      around: reports.filter((one) => one.get('workspace_id') === WORKSPACE_ID).map(around),
      count: reports.getServerCount(),
      workspaces: store.storage('workspaces').length,
      users: store.storage('users').length,
    };
  },

  async list_nested() {
    const reports = new StatusReports();
    await reports.fetch({
      include: ['creator', { workspace: ['participants', 'current_status_report'] }],
      filters: { workspace_id: WORKSPACE_ID },
    });
    const workspace = reports.first().get('workspace');
    return {
      participants: workspace.get('participants').pluck('full_name'),
      current: workspace.get('current_status_report').id,
    };
  },

  async show_nested_in_archived() {
    const shown = new StatusReport({ id: ARCHIVED_REPORT_ID });
    await shown.fetch({ include: [{ workspace: ['participants'] }] });
    const workspace = shown.get('workspace');
    return {
      archived: workspace.get('archived'),
      participants: workspace.get('participants').pluck('full_name'),
    };
  },

  async neighbours() {
    const users = new Users();
    await users.fetch({ order: 'full_name:asc' });
    const workspaces = new Workspaces();
    await workspaces.fetch({ include: ['creator', 'status_reports'] });
    const references = new ExternalReferences();
    await references.fetch({
      include: 'subject',
      filters: { subject_type: 'StatusReport' },
      order: 'created_at:asc',
    });
    return {
      users: users.pluck('full_name'),
      workspaces: workspaces.map((one) => ({
        title: one.get('title'),
        creator: one.get('creator').get('full_name'),
        reports: one.get('status_reports').pluck('id'),
      })),
      subjects: references.map((one) => [one.get('service_name'), one.get('subject').id]),
    };
  },

  pages: () => leaf({ perPage: 3, filters: { workspace_id: WORKSPACE_ID } }),

  offsets: () => leaf({ limit: 3, offset: 0, filters: { workspace_id: WORKSPACE_ID } }),

  async load_more() {
    const reports = new StatusReports();
    await reports.fetch({ perPage: 3, filters: { workspace_id: WORKSPACE_ID } });
    const first = reports.pluck('id');
    let another;
    await reports.loadNextPage({
      success: (_reports, hasNext) => {
        another = hasNext;
      },
    });
    return { first, then: reports.pluck('id'), another };
  },

  async only() {
    const reports = new StatusReports();
    await reports.fetch({ only: [more[2], report.id, '999999999'], include: 'workspace' });
    return { ids: reports.pluck('id'), count: reports.getServerCount() };
  },

  async sort() {
    const orders = {};
    for (const order of ['id:desc', 'created_at:desc', 'created_at:asc']) {
      const reports = new StatusReports();
      await reports.fetch({ order, filters: { workspace_id: WORKSPACE_ID } });
      orders[order] = reports.pluck('id');
    }
    return orders;
  },

  async filter() {
    const matched = {};
    for (const filters of [
      { has_external_references: true },
      { has_external_references: false, workspace_id: WORKSPACE_ID },
      { external_reference_service_name: 'ledger' },
      { created_after: '2999-01-01' },
    ]) {
      const reports = new StatusReports();
      await reports.fetch({ filters });
      matched[Object.entries(filters)[0].join('=')] = reports.pluck('id');
    }
    return matched;
  },

  async update() {
    report = new StatusReport({ id: report.id });
    await report.fetch({ include: 'external_references' });
    const before = report.get('updated_at');
    await report.save({ color: 'yellow' });
    return {
      before,
      ...report.attributes,
      services: report.get('external_references').pluck('service_name'),
    };
  },

  async update_and_include() {
    await report.save({ color: 'red' }, { include: EVERYTHING, headers: bearer(EDITOR_TOKEN) });
    return around(report);
  },

  async patch() {
    await report.save({ description: 'Patched.', details: [] }, { patch: true });
    return report.attributes;
  },

  async show_updated() {
    const shown = new StatusReport({ id: report.id });
    await shown.fetch();
    return shown.attributes;
  },

  async refuse_create() {
    const wrong = new StatusReport({ workspace_id: WORKSPACE_ID, color: 'blue' });
    const heard = await refused(wrong, (options) => wrong.save({}, options));
    return { ...heard, is_new: wrong.isNew() };
  },

  async refuse_update() {
    const shown = new StatusReport({ id: report.id });
    await shown.fetch();
    const wrong = { details: [{ category: 'Weather', color: 'red' }] };
    const heard = await refused(shown, (options) => shown.save(wrong, { wait: true, ...options }));
    return { ...heard, details: shown.get('details') };
  },

  refuse_list() {
    const reports = new StatusReports();
    const filters = { created_after: 'yesterday' };
    return refused(reports, (options) => reports.fetch({ filters, ...options }));
  },

  refuse_token() {
    const reports = new StatusReports();
    return refused(reports, (options) =>
      reports.fetch({ headers: bearer('unknown'), ...options }),
    );
  },

  async destroy() {
    const workspace = new Workspace({ id: WORKSPACE_ID });
    await workspace.fetch({ include: 'status_reports' });
    const doomed = store.storage('status_reports').get(report.id);
    const events = [];
    doomed.on('destroy sync', () => events.push('heard'));
    await doomed.destroy({ wait: true });
    return {
      heard: events.length,
      is_stored: Boolean(store.storage('status_reports').get(report.id)),
      left: workspace.get('status_reports').pluck('id'),
    };
  },

  async destroyed() {
    const gone = new StatusReport({ id: report.id });
    const shown = await refused(gone, (options) => gone.fetch(options));
    const again = await refused(gone, (options) => gone.destroy({ wait: true, ...options }));
    const reports = new StatusReports();
    await reports.fetch({ filters: { workspace_id: WORKSPACE_ID } });
    return { shown, again, left: reports.pluck('id') };
  },

  async look_up_user() {
    const all = new Users();
    await all.fetch();
    const editor = all.find((one) => one.get('full_name') === 'The editor');
    const address = editor.get('email_address').toUpperCase();
    const looked = {};
    for (const [name, options] of Object.entries({
      address: { filters: { by_email_address: address } },
      addresses: { filters: { by_email_addresses: `${address},nobody@example.org` } },
      nobody: { filters: { by_email_address: 'nobody@example.org' } },
      name: { filters: { by_full_name: 'EDIT' } },
      search: { search: 'edit' },
      with_users: { filters: { with_users: [editor.id] } },
    })) {
      const users = new Users();
      await users.fetch(options);
      looked[name] = users.pluck('full_name');
    }
    return looked;
  },

  async look_up_workspace() {
    const workspace = new Workspace({ id: WORKSPACE_ID });
    await workspace.fetch();
    await workspace.save({
      title: 'Brücke über die Aare',
      external_reference: { service_name: 'crm', service_model: 'Deal', service_model_ref: 77 },
    });
    const looked = {};
    for (const [name, options] of Object.entries({
      title: { filters: { matching: 'brucke AAR' } },
      no_title: { filters: { matching: 'rucke' } },
      search: { search: 'aare' },
      reference: {
        filters: {
          external_reference_service_name: 'crm',
          external_reference_service_model_ref: 77,
        },
      },
      no_reference: { filters: { external_reference_service_model_ref: 78 } },
    })) {
      const workspaces = new Workspaces();
      await workspaces.fetch(options);
      looked[name] = workspaces.pluck('title');
    }
    return looked;
  },
};

// If a callback of the client throws, its promise never settles, so every step has a timeout.
async function within(limitMs, work) {
  let timer;
  const end = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no end within ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([work(), end]);
  } finally {
    clearTimeout(timer);
  }
}

const why = (error) => error.stack ?? `${error.status} ${error.responseText}`;

async function main() {
  const told = {};
  for (const [name, step] of Object.entries(steps)) {
    store.reset(); // No step may see what another step loaded.
    requests.length = 0;
    try {
      told[name] = { value: await within(STEP_LIMIT_MS, step) };
    } catch (error) {
      told[name] = { failed: why(error) };
    }
    told[name].requests = structuredClone(requests);
  }
  page.window.close();
  process.stdout.write(JSON.stringify(told));
}

main();
