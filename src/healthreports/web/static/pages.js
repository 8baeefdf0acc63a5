// What makes writing safer and copying quicker. Every page works without it.
"use strict";

// A report that is being written is kept in this browser until it is saved.
const KEPT = "healthreports:";

function fieldsOf(form) {
  const kept = {};
  for (const [name, value] of new FormData(form)) {
    if (name !== "csrf") kept[name] = value;
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
    status.textContent = "What you had written here and not saved is back. ";
    const forget = document.createElement("button");
    forget.type = "button";
    forget.className = "quiet";
    forget.textContent = "Leave it out";
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

// Ctrl or Cmd with Enter saves, as in a message.
document.addEventListener("keydown", (event) => {
  const form = event.target.closest?.("form.write");
  if (form && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    form.requestSubmit();
  }
});

document.addEventListener("click", async (event) => {
  const link = event.target.closest?.("a[data-copy]");
  if (!link || !navigator.clipboard) return;
  event.preventDefault();
  const answer = await fetch(link.href);
  await navigator.clipboard.writeText(await answer.text());
  link.textContent = "Copied";
});

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
function showThePresent() {
  for (const place of document.querySelectorAll(".wide:has(.weeks, .history)")) {
    place.scrollLeft = place.scrollWidth;
  }
}
showThePresent();
document.addEventListener("htmx:afterSwap", showThePresent);
