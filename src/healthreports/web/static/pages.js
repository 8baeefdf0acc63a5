// What makes writing safer and the rest quicker. Every page works without it.
"use strict";

// A report that is being written is kept in this browser until it is published.
const KEPT = "healthreports:";

function fieldsOf(form) {
  const kept = {};
  for (const [name, value] of new FormData(form)) {
    if (name !== "csrf" && name !== "once") kept[name] = value;
  }
  return kept;
}

function fill(form, kept) {
  for (const [name, value] of Object.entries(kept)) {
    const field = form.elements[name];
    if (field) field.value = value;
  }
}

function keep(form) {
  const key = KEPT + form.dataset.keep;
  const status = form.querySelector(".kept");
  const first = JSON.stringify(fieldsOf(form));
  // What came back from the server was sent from here: it is newer than what is kept.
  if (document.querySelector(".conflict")) localStorage.setItem(key, first);
  const known = localStorage.getItem(key);
  if (known && known !== first) {
    fill(form, JSON.parse(known));
    // As if typed, so that the preview follows, as soon as htmx listens.
    addEventListener("DOMContentLoaded", () => form.dispatchEvent(new Event("input")));
    status.hidden = false;
    status.textContent = "Your unpublished draft is back. ";
    const forget = document.createElement("button");
    forget.type = "button";
    forget.className = "quiet";
    forget.textContent = "Discard draft";
    forget.addEventListener("click", () => {
      localStorage.removeItem(key);
      fill(form, JSON.parse(first));
      form.dispatchEvent(new Event("input"));
      form.elements.description.focus();
      status.hidden = true;
    });
    status.append(forget);
  }
  form.addEventListener("input", () => {
    localStorage.setItem(key, JSON.stringify(fieldsOf(form)));
  });
  // What the server then refuses comes back in the page, and is kept from there.
  form.addEventListener("submit", (event) => {
    if (event.submitter?.name !== "preview") sessionStorage.setItem(KEPT + "sent", key);
  });
}

document.addEventListener("keydown", (event) => {
  // Ctrl or Cmd with Enter publishes, as in a message.
  const form = event.target.closest?.("form.write");
  if (form && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    form.requestSubmit(form.querySelector("button.primary"));
    return;
  }
  const search = document.getElementById("find");
  const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
  const isAsked = (event.key === "/" && !isTyping) || (event.key === "k" && (event.ctrlKey || event.metaKey));
  if (search && isAsked) {
    event.preventDefault();
    search.focus();
    search.select();
  }
  // A menu is left as it was entered.
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

// A page that takes its time says so.
addEventListener("beforeunload", () => document.body.classList.add("busy"));
addEventListener("pageshow", () => document.body.classList.remove("busy"));

// Times are written in UTC, and read in the zone of the reader.
for (const time of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(time.dateTime);
  time.title = time.textContent;
  time.textContent = moment.toLocaleString("en-GB", {
    day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit",
    timeZoneName: "short",
  });
}

const saved = document.querySelector("[data-saved=yes]");
if (saved && sessionStorage.getItem(KEPT + "sent")) {
  localStorage.removeItem(sessionStorage.getItem(KEPT + "sent"));
  sessionStorage.removeItem(KEPT + "sent");
}
// Who signs out leaves nothing behind for the next at this machine.
document.querySelector("form.leave")?.addEventListener("submit", () => {
  for (const key of Object.keys(localStorage)) if (key.startsWith(KEPT)) localStorage.removeItem(key);
});
document.querySelectorAll("form[data-keep]").forEach(keep);

// Where time runs to the right, the present is what one wants to see first.
for (const place of document.querySelectorAll(".wide:has(.weeks, .history)")) {
  place.scrollLeft = place.scrollWidth;
}
