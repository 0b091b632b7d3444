// The settings of a study: only what was changed is sent.
import { problemOf, say } from "./actions.js";
import { csrfHeader } from "./csrf.js";

const form = document.getElementById("change");
const wrong = document.getElementById("change-wrong");
const remove = document.getElementById("delete-form");

const isChanged = (field) => field.value !== field.defaultValue;
const number = (field) => (field.value === "" ? null : Number(field.value));

// What a limit has beside its bounds.
const kept = ({ at, soft }) => ({ ...(at && { at }), ...(soft !== undefined && { soft: true }) });

function changes() {
  const change = {};
  if (isChanged(form.elements.name)) change.name = form.elements.name.value.trim();
  for (const field of form.querySelectorAll("[data-budget]")) {
    if (isChanged(field)) (change.budget ??= {})[field.name] = number(field);
  }
  const limits = [...form.querySelectorAll("[data-limit]")];
  for (const { dataset: { limit } } of limits.filter(isChanged)) {
    const bounds = limits.filter((field) => field.dataset.limit === limit && field.value !== "");
    (change.constraints ??= {})[limit] = bounds.length
      ? { ...Object.fromEntries(bounds.map((field) => [field.dataset.bound, number(field)])), ...kept(bounds[0].dataset) }
      : null;
  }
  return change;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  wrong.textContent = "";
  const change = changes();
  if (!Object.keys(change).length) return say("Nothing was changed.");
  try {
    const answer = await fetch(`/api/v1/studies/${form.dataset.study}`, {
      method: "PATCH",
      headers: { "Content-Type": "application/json", ...csrfHeader() },
      body: JSON.stringify(change),
    });
    if (answer.ok) return location.reload();
    const problem = await problemOf(answer);
    wrong.textContent = problem.errors.map((error) => `${error.pointer.slice(1).replaceAll("/", ".")}: ${error.message}`).join("; ") || problem.detail;
  } catch {
    wrong.textContent = "The server does not answer; nothing was changed.";
  }
});

remove?.addEventListener("input", () => {
  remove.querySelector("button").disabled = remove.querySelector("input").value !== remove.dataset.name;
});
remove?.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const answer = await fetch(`/api/v1/studies/${remove.dataset.study}`, { method: "DELETE", headers: csrfHeader() });
    if (answer.ok) location.assign("/studies");
    else say((await problemOf(answer)).detail);
  } catch {
    say("The server does not answer; nothing was deleted.");
  }
});
