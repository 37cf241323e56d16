// Comfort only: every page works without this file. No dependency, no inline handler, no HTML made here.
"use strict";

// A filter applies as soon as it is chosen.
for (const form of document.querySelectorAll("form[data-auto]")) {
  form.addEventListener("change", (event) => {
    if (event.target instanceof HTMLSelectElement) form.requestSubmit();
  });
  // Leave what is empty out of the address.
  form.addEventListener("submit", () => {
    for (const field of form.elements) {
      if (field.name && field.value === "") field.disabled = true;
    }
  });
}
// Coming back by the browser's history shows the form as it was left, with fields disabled.
window.addEventListener("pageshow", () => {
  for (const field of document.querySelectorAll("form[data-auto] :disabled")) field.disabled = false;
});

// The steps for a selection are there as soon as there is one.
const bulk = document.querySelector("details.bulk");
if (bulk) {
  document.addEventListener("change", (event) => {
    // By the element: a field that is called `id` stands in the way of the form's own.
    const ours = event.target instanceof HTMLInputElement && event.target.form === document.getElementById("triage");
    if (ours && event.target.checked) bulk.open = true;
  });
}

// Where browsers do not know `scroll-initial-target`, the menu of a narrow page shows where one is all the same.
const nav = document.querySelector(".nav");
const here = nav?.querySelector('[aria-current="page"], [aria-current="true"]');
if (here && nav.scrollWidth > nav.clientWidth && here.offsetLeft + here.offsetWidth > nav.scrollLeft + nav.clientWidth) {
  nav.scrollLeft = here.offsetLeft - nav.clientWidth / 2;
}

const say = (text) => {
  const status = document.getElementById("status");
  if (status) status.textContent = text;
};

for (const button of document.querySelectorAll("button[data-copy]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    if (!source) return;
    await navigator.clipboard.writeText(source.dataset.text ?? source.textContent.trim());
    say("Copied");
    const label = button.querySelector("span") ?? button;
    const before = label.textContent;
    label.textContent = "Copied";
    setTimeout(() => {
      label.textContent = before;
    }, 1500);
  });
}

// Keys: `/` search, `j` and `k` through the rows, Enter opens, `x` selects, `a` acknowledges, `?` help. Off in fields, and wholly
// off once the person has said so (kept in this browser).
const OFF = "rolecall-keys-off";
const rows = [...document.querySelectorAll("tr[data-row]")];
let at = -1;

const select = (index) => {
  if (rows.length === 0) return;
  rows[at]?.classList.remove("current");
  at = Math.max(0, Math.min(rows.length - 1, index));
  rows[at].classList.add("current");
  rows[at].querySelector("a")?.focus();
};

const help = document.getElementById("keys");
const toggle = document.getElementById("keys-off");
if (toggle) {
  toggle.checked = localStorage.getItem(OFF) === "1";
  toggle.addEventListener("change", () => localStorage.setItem(OFF, toggle.checked ? "1" : "0"));
}
for (const opener of document.querySelectorAll("button[data-keys]")) {
  opener.hidden = false;
  opener.addEventListener("click", () => help?.showModal());
}

document.addEventListener("keydown", (event) => {
  const target = event.target;
  const box = target instanceof HTMLInputElement && target.type === "checkbox";
  const typing = target instanceof HTMLElement && !box && (target.isContentEditable || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName));
  if (typing || event.ctrlKey || event.metaKey || event.altKey || localStorage.getItem(OFF) === "1") return;
  if (event.key === "/") {
    const search = document.querySelector("main input[type=search]") ?? document.querySelector("input[type=search]");
    if (!search) return;
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "j") {
    select(at + 1);
  } else if (event.key === "k") {
    select(at - 1);
  } else if (event.key === "x") {
    const box = rows[at]?.querySelector("input[type=checkbox]");
    if (!box) return;
    box.checked = !box.checked;
    box.dispatchEvent(new Event("change", { bubbles: true }));
    say(box.checked ? "Selected" : "Not selected");
  } else if (event.key === "a") {
    const button = document.querySelector("button[data-key=a]");
    if (!button) return;
    // In a list without a selection it is the row at hand.
    const box = rows[at]?.querySelector("input[type=checkbox]");
    if (box && !document.querySelector("input[type=checkbox][name=id]:checked")) box.checked = true;
    button.click();
  } else if (event.key === "?") {
    help?.showModal();
  }
});
