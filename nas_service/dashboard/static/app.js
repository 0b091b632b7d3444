// What every page does: live parts, theme button, actions on studies, copy buttons.
import { askAndAct } from "./actions.js";
import { refreshAll, refresh, startLive } from "./live.js";
import { tickTimes } from "./times.js";

function toggleTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  try { localStorage.setItem("nas-theme", root.dataset.theme); } catch { /* then it lasts for this page */ }
  document.dispatchEvent(new CustomEvent("nas:theme"));
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy), text = source.value ?? source.textContent;
  const words = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Select and copy by hand";
  }
  setTimeout(() => { button.textContent = words; }, 2000);
}

// A link with data-into replaces one part of the page; the address follows, so that it can be shared.
function loadPart(event, link) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const part = document.getElementById(link.dataset.into);
  showPart(part, new URL(link.href).search);
}

// The part as another query shows it. What the address says of other parts stays in it.
function showPart(part, search) {
  const [path, before = ""] = part.dataset.live.split("?");
  part.dataset.live = path + search;
  history.replaceState(null, "", mergedSearch(before, search));
  for (const form of document.querySelectorAll(`form[data-into="${part.id}"]`)) fillIn(form, new URLSearchParams(search));
  refresh(part);
}

function fillIn(form, values) {
  for (const field of form.elements) if (field.name) field.value = values.get(field.name) ?? "";
}

function mergedSearch(before, search) {
  const merged = new URLSearchParams(location.search);
  for (const name of [...new URLSearchParams(before).keys()]) merged.delete(name);
  new URLSearchParams(search).forEach((value, name) => { if (value) merged.set(name, value); });
  return `${location.pathname}?${merged}`;
}

document.addEventListener("click", (event) => {
  const target = event.target.closest("[data-theme-button], [data-copy], a[data-into], [data-action], [data-request]");
  if (!target) return;
  if (target.matches("[data-theme-button]")) toggleTheme();
  else if (target.matches("[data-copy]")) copy(target);
  else if (target.matches("[data-into]")) loadPart(event, target);
  else askAndAct(target).then(refreshAll);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.dataset.into) return;
  event.preventDefault();
  showPart(document.getElementById(form.dataset.into), `?${new URLSearchParams(new FormData(form))}`);
});

tickTimes();
setInterval(tickTimes, 10_000);
startLive();
