// The launch form: a spec from its fields, pre-flight while one types, errors beside their fields.
import { problemOf } from "./actions.js";
import { csrfHeader } from "./csrf.js";
import { showPreflight } from "./preflight.js";
import { commandOf, curlOf, readSpec, yamlOf } from "./spec.js";

const form = document.getElementById("launch");
const report = document.getElementById("preflight");
const said = document.getElementById("launch-said");
const PAUSE_MS = 500;

// Fields of a cloned spec that the form does not show are kept as they are.
const original = form.dataset.original ? JSON.parse(form.dataset.original) : {};

function post(spec, query, signal) {
  return fetch(`/api/v1/studies${query}`, {
    method: "POST", body: JSON.stringify(spec), headers: { "Content-Type": "application/json", ...csrfHeader() }, signal,
  });
}

function showEqual(spec) {
  document.getElementById("as-yaml").textContent = yamlOf(spec);
  document.getElementById("as-command").textContent = commandOf(spec);
  document.getElementById("as-curl").textContent = curlOf(spec, location.origin);
}

function clearErrors() {
  for (const place of form.querySelectorAll("[data-wrong]")) place.textContent = "";
  for (const field of form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
  document.getElementById("form-wrong").hidden = true;
}

// "/constraints/params/max" belongs to the field of that name, or else to the nearest group above it.
function placeOf(pointer) {
  const parts = pointer.split("/").filter(Boolean);
  for (; parts.length; parts.pop()) {
    const place = form.querySelector(`[data-wrong="${CSS.escape(parts.join("."))}"]`);
    if (place) return place;
  }
  return null;
}

function showProblem({ detail, errors }) {
  clearErrors();
  const homeless = [];
  for (const { pointer, message, allowed } of errors) {
    const place = placeOf(pointer ?? "");
    const text = allowed ? `${message} (allowed: ${allowed})` : message;
    if (!place) homeless.push(`${(pointer ?? "").slice(1).replaceAll("/", ".")} ${text}`.trim());
    else {
      place.textContent = text;
      for (const field of form.querySelectorAll(`[name="${CSS.escape(place.dataset.wrong)}"]`)) field.setAttribute("aria-invalid", "true");
    }
  }
  if (errors.length && !homeless.length) return;
  const whole = document.getElementById("form-wrong");
  whole.textContent = homeless.join("; ") || detail;
  whole.hidden = false;
}

let timer = null, running = null;

function changed() {
  showFamily();
  const spec = readSpec(form, original);
  showEqual(spec);
  clearTimeout(timer);
  timer = setTimeout(() => check(spec), PAUSE_MS);
}

async function check(spec) {
  running?.abort();
  running = new AbortController();
  report.setAttribute("aria-busy", "true");
  try {
    const answer = await post(spec, "?validate_only=true", running.signal);
    if (answer.ok) {
      clearErrors();
      showPreflight(report, await answer.json(), spec);
    } else {
      showProblem(await problemOf(answer));
      report.replaceChildren(words(answer.status === 403
        ? "Only who may launch a study is told what to expect."
        : "The form has an error; it is said beside its field."));
    }
  } catch (error) {
    if (error.name === "AbortError") return;
    report.replaceChildren(words("The server does not answer; change a field to ask again."));
  }
  report.removeAttribute("aria-busy");
}

function words(text) {
  const paragraph = document.createElement("p");
  paragraph.className = "muted";
  paragraph.textContent = text;
  return paragraph;
}

function showFamily() {
  const name = form.elements.space.value;
  const entry = document.querySelector(`#families [data-name="${CSS.escape(name)}"]`);
  document.getElementById("family-summary").textContent = entry?.textContent ?? "";
  form.elements.name.placeholder = `${form.elements.dataset.value}-${name}`;
}

async function launch(event) {
  event.preventDefault();
  const button = document.getElementById("start");
  button.disabled = true;
  said.textContent = "Launching";
  try {
    const answer = await post(readSpec(form, original), "");
    if (answer.ok) return location.assign(`/studies/${(await answer.json()).study}`);
    showProblem(await problemOf(answer));
    said.textContent = "Not launched.";
    form.querySelector("[aria-invalid]")?.focus();
  } catch {
    said.textContent = "The server does not answer; nothing was launched.";
  }
  button.disabled = false;
}

form.addEventListener("input", changed);
form.addEventListener("submit", launch);
changed();
