// Makes writing safer and the rest quicker. Every page works without this script.
"use strict";

// The draft on the server is updated at each pause in typing. What the server does not have yet is
// stored in this browser: until the next pause, while offline, or if the session has expired.
const UNSENT = "healthreports:";

function fieldsOf(form) {
  const typed = {};
  for (const [name, value] of new FormData(form)) {
    if (name !== "csrf" && name !== "once") typed[name] = value;
  }
  return typed;
}

function fill(form, typed) {
  for (const [name, value] of Object.entries(typed)) {
    const field = form.elements[name];
    if (field) field.value = value;
  }
}

function keep(form) {
  const key = UNSENT + form.dataset.keep;
  const note = form.querySelector(".kept");
  const say = (text) => {
    note.hidden = false;
    note.firstElementChild.textContent = text;
  };
  const hold = () => {
    localStorage.setItem(key, JSON.stringify({ at: Date.now(), fields: fieldsOf(form) }));
  };
  const unsent = JSON.parse(localStorage.getItem(key) ?? "null");
  // A form that the server sends back, or a draft that it stored later, is newer.
  if (form.dataset.sent || unsent?.at < Number(form.dataset.keptAt ?? 0)) {
    localStorage.removeItem(key);
  } else if (unsent) {
    fill(form, unsent.fields);
    // As if typed, so that htmx, once it listens, updates the preview and the draft on the server.
    addEventListener("DOMContentLoaded", () => form.dispatchEvent(new Event("input")));
    say("Your unpublished draft is back.");
  }
  form.addEventListener("input", hold);
  let asked = "";
  document.addEventListener("htmx:beforeRequest", () => {
    asked = JSON.stringify(fieldsOf(form));
  });
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!event.detail.successful) {
      say(event.detail.xhr?.status === 401
        ? "Your session expired. Publish to sign in again: your draft is saved in this browser."
        : "The server cannot be reached. Your draft is kept in this browser.");
    } else if (asked === JSON.stringify(fieldsOf(form))) {
      localStorage.removeItem(key);
    }
  });
  form.addEventListener("submit", (event) => {
    if (event.submitter?.name === "discard") localStorage.removeItem(key);
    else if (event.submitter?.name !== "preview") {
      // Stored until it is published: a user who must sign in first then gets it back.
      hold();
      sessionStorage.setItem(UNSENT + "sent", key);
    }
  });
}

// Single-key shortcuts; users of speech input can turn them off (WCAG 2.1.4).
const KEYS = "healthreports-keys";
const LEADS_TO = { p: "", t: "?view=weeks", m: "?owner=me", d: "developers" };
// The server may be below a path; the link to its first page includes it.
const FIRST = document.querySelector(".brand")?.getAttribute("href") ?? "/";
const shortcuts = document.getElementById("shortcuts");
let wasGo = 0;

function seek(event) {
  const search = document.getElementById("find");
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
}

function press(event) {
  const isGoing = event.timeStamp - wasGo < 1500;
  wasGo = event.key === "g" ? event.timeStamp : 0;
  if (isGoing && event.key in LEADS_TO) location.href = FIRST + LEADS_TO[event.key];
  else if (event.key === "/") seek(event);
  else if (event.key === "?") shortcuts?.showModal();
  else if (event.key === "n") document.querySelector("a.primary[href$='/reports/new']")?.click();
  else if (event.key === "j" || event.key === "k") {
    const names = [...document.querySelectorAll("main .name, main .feed a")];
    const here = names.indexOf(document.activeElement);
    names[Math.max(0, here + (event.key === "j" ? 1 : -1))]?.focus();
  }
}

if (shortcuts) {
  const keys = shortcuts.querySelector("[data-keys]");
  const show = () => {
    keys.setAttribute("aria-pressed", String(localStorage.getItem(KEYS) !== "off"));
  };
  show();
  keys.addEventListener("click", () => {
    if (localStorage.getItem(KEYS) === "off") localStorage.removeItem(KEYS);
    else localStorage.setItem(KEYS, "off");
    show();
  });
  shortcuts.querySelector("[data-close]").addEventListener("click", () => shortcuts.close());
  const opener = document.querySelector("[data-shortcuts]");
  opener.hidden = false;
  opener.addEventListener("click", () => shortcuts.showModal());
}

document.addEventListener("keydown", (event) => {
  // Ctrl+Enter or Cmd+Enter publishes, as in messaging programs.
  const form = event.target.closest?.("form.write");
  if (form && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    form.requestSubmit(form.querySelector("button.primary"));
    return;
  }
  if (event.key === "k" && (event.ctrlKey || event.metaKey)) seek(event);
  const isTyping = event.target.closest?.("input:not([type=checkbox]), textarea, select");
  const hasModifier = event.ctrlKey || event.metaKey || event.altKey;
  if (!isTyping && !hasModifier && localStorage.getItem(KEYS) !== "off") press(event);
  // Escape closes a menu and returns the focus to its summary.
  const menu = event.target.closest?.("details.menu[open]");
  if (menu && event.key === "Escape") {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

document.addEventListener("click", async (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  const said = event.target.closest?.("[data-copy-text]");
  if (said) {
    await navigator.clipboard.writeText(said.parentElement.querySelector("code").textContent);
    said.textContent = "Copied";
    return;
  }
  const link = event.target.closest?.("a[data-copy]");
  if (!link || !navigator.clipboard) return;
  event.preventDefault();
  const answer = await fetch(link.href);
  await navigator.clipboard.writeText(await answer.text());
  link.textContent = "Copied";
});
if (navigator.clipboard) {
  for (const button of document.querySelectorAll("[data-copy-text]")) button.hidden = false;
}

// Show that the next page is loading.
addEventListener("beforeunload", () => document.body.classList.add("busy"));
addEventListener("pageshow", () => document.body.classList.remove("busy"));

// Times are written in UTC, and shown in the reader's time zone.
for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  time.title = time.textContent;
  time.textContent = moment.toLocaleString("en-GB", {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
    timeZoneName: "short",
  });
}

const saved = document.querySelector("[data-saved=yes]");
if (saved && sessionStorage.getItem(UNSENT + "sent")) {
  localStorage.removeItem(sessionStorage.getItem(UNSENT + "sent"));
  sessionStorage.removeItem(UNSENT + "sent");
}
// Signing out deletes the stored drafts, so that the next user cannot see them.
document.querySelector("form.leave")?.addEventListener("submit", () => {
  for (const key of Object.keys(localStorage)) if (key.startsWith(UNSENT)) localStorage.removeItem(key);
});
document.querySelectorAll("form[data-keep]").forEach(keep);

// Where time runs to the right, scroll to the present.
for (const place of document.querySelectorAll(".wide:has(.weeks, .history)")) {
  place.scrollLeft = place.scrollWidth;
}

// The arrow keys move through the timeline cell by cell; the readout describes the cell.
for (const grid of document.querySelectorAll("table.weeks")) {
  const rows = [...grid.tBodies[0].rows].map((row) => [...row.cells]);
  const heads = [...grid.tHead.rows[0].cells];
  const readout = document.querySelector(".readout");
  let at = rows[0].at(-2);
  const tell = (cell) => {
    const week = heads[cell.cellIndex].firstElementChild?.textContent ?? "Due";
    readout.hidden = false;
    readout.textContent = `${cell.parentElement.cells[0].textContent}, ${week.toLowerCase()}: ${cell.textContent}`;
  };
  grid.setAttribute("role", "grid");
  for (const cell of rows.flat()) if (cell.tagName === "TD") cell.tabIndex = -1;
  at.tabIndex = 0;
  grid.addEventListener("focusin", (event) => {
    if (event.target.tagName !== "TD") return;
    at.tabIndex = -1;
    at = event.target;
    at.tabIndex = 0;
    tell(at);
  });
  grid.addEventListener("mouseover", (event) => {
    if (event.target.tagName === "TD") tell(event.target);
  });
  grid.addEventListener("keydown", (event) => {
    const row = rows.indexOf([...rows].find((cells) => cells.includes(at)));
    const column = at.cellIndex;
    const last = rows[row].length - 1;
    const next = {
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      Home: [row, 1],
      End: [row, last],
    }[event.key];
    const cell = next && event.target.tagName === "TD" && rows[next[0]]?.[Math.min(next[1], last)];
    if (!cell) return;
    event.preventDefault();
    (cell.tagName === "TD" ? cell : cell.querySelector("a")).focus();
  });
}
