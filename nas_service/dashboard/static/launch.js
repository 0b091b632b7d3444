// The launch form: one spec, shown as inputs, as YAML, as a command and for curl; pre-flight while one types.
import { problemOf } from "./actions.js";
import { csrfHeader } from "./csrf.js";
import { showPreflight } from "./preflight.js";
import { familyName, showRanges } from "./ranges.js";
import { commandOf, curlOf, yamlOf } from "./spec.js";
import { at, fill, fillObjectives, isGroup, markChanged, put, remove, take, takeObjective } from "./spec_form.js";

const form = document.getElementById("launch");
const yaml = document.getElementById("as-yaml");
const yamlWrong = document.getElementById("yaml-wrong");
const report = document.getElementById("preflight");
const said = document.getElementById("launch-said");
const latencyAt = document.getElementById("latency-at");
const PAUSE_MS = 500;
const ORDER = ["name", "dataset", "space", "objectives", "constraints", "device", "search", "training", "budget"];

// What is launched: the person's own words. Inputs and YAML are views of it. (`form.dataset` is the select of that name.)
let spec = JSON.parse(form.getAttribute("data-given"));
let yamlTimer = null;

function post(address, body, type, signal) {
  return fetch(address, { method: "POST", body, headers: { "Content-Type": type, ...csrfHeader() }, signal });
}

const postSpec = (query, signal) => post(`/api/v1/studies${query}`, JSON.stringify(named()), "application/json", signal);

// With a name, and in the order in which people read a spec.
function named() {
  const whole = { ...spec, name: spec.name || form.elements.name.placeholder || "search" };
  const known = ORDER.filter((key) => key in whole);
  return Object.fromEntries([...known, ...Object.keys(whole).filter((key) => !ORDER.includes(key))].map((key) => [key, whole[key]]));
}

function showEqual() {
  // What somebody wrote and nobody has understood yet stays as it is, unless it is emptied.
  const isKept = yaml.value.trim() && (yamlTimer !== null || yamlWrong.textContent);
  if (yaml !== document.activeElement && !isKept) {
    yaml.value = yamlOf(named());
    sayYamlWrong("");
  }
  document.getElementById("as-command").textContent = commandOf(named());
  document.getElementById("as-curl").textContent = curlOf(named(), location.origin);
}

let shownSpace = null;

function showSpace() {
  const name = familyName(spec), select = form.elements.space;
  select.options[0].hidden = name !== "";
  if (name && ![...select.options].some((option) => option.value === name)) select.append(new Option(name, name));
  if (select !== document.activeElement) select.value = name;
  document.getElementById("family-summary").textContent = told("families", name);
  document.getElementById("dataset-told").textContent = told("datasets", form.elements.dataset.value);
  form.elements.name.placeholder = `${form.elements.dataset.value}-${name || "space"}`;
  const space = JSON.stringify(spec.space ?? null);
  if (space === shownSpace) return;
  shownSpace = space;
  showRanges(document.getElementById("ranges-list"), document.getElementById("ranges-said"), spec, changed);
}

function told(list, name) {
  return document.querySelector(`#${list} [data-name="${CSS.escape(name)}"]`)?.textContent ?? "";
}

// The statistic belongs to the limit: without one there is nothing that it could be said of.
function takeLatencyStatistic() {
  const limit = at(spec, "constraints.latency_ms");
  if (!isGroup(limit)) return;
  if (latencyAt.value !== "median" || "at" in limit) put(spec, "constraints.latency_ms.at", latencyAt.value);
}

// So does whether it is soft.
function takeSoft(box) {
  const path = `constraints.${box.dataset.soft}.soft`;
  if (box.checked) put(spec, path, true);
  else remove(spec, path);
}

function showSoft() {
  for (const box of form.querySelectorAll("[data-soft]")) {
    const limit = at(spec, `constraints.${box.dataset.soft}`);
    box.disabled = !isGroup(limit);
    box.checked = !box.disabled && limit.soft === true;
  }
}

function fillAll() {
  fill(form, spec);
  fillObjectives(form, spec);
  latencyAt.value = at(spec, "constraints.latency_ms.at") ?? latencyAt.value;
}

let timer = null, running = null;

// Everything that follows from the spec, after it was changed in whichever view.
function changed() {
  showSoft();
  showSpace();
  showEqual();
  markChanged(form, spec);
  clearTimeout(timer);
  timer = setTimeout(check, PAUSE_MS);
}

function edited({ target }) {
  if (target.name === "objectives") takeObjective(spec, target);
  else if (target.dataset.path) take(spec, target, form);
  else if (target.dataset.group) wantGroup(target);
  else if (target.dataset.soft) takeSoft(target);
  else if (target === form.elements.space) spec.space = target.value;
  else if (target !== latencyAt) return;
  takeLatencyStatistic();
  changed();
}

function wantGroup(box) {
  if (box.checked) put(spec, box.dataset.group, {});
  else remove(spec, box.dataset.group);
  fill(form, spec);
}

// YAML

function sayYamlWrong(text) {
  yamlWrong.textContent = text;
  if (text) yaml.setAttribute("aria-invalid", "true");
  else yaml.removeAttribute("aria-invalid");
}

async function readYaml() {
  yamlTimer = null;
  const text = yaml.value;
  try {
    const answer = await post("/studies/new/read", text, "application/yaml");
    if (text !== yaml.value) return;
    if (!answer.ok) {
      const { detail, errors } = await problemOf(answer);
      return sayYamlWrong(errors.map((error) => error.message).join("; ") || detail);
    }
    sayYamlWrong("");
    spec = await answer.json();
    fillAll();
    changed();
  } catch {
    sayYamlWrong("The server does not answer, so the form could not follow; change a letter to ask again.");
  }
}

// Problems

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
    const place = placeOf(pointer ?? ""), path = (pointer ?? "").slice(1).replaceAll("/", ".");
    const text = saidOnce(message, allowed);
    if (!place) homeless.push(`${path} ${text}`.trim());
    else tellAt(place, path === place.dataset.wrong ? text : `${path}: ${text}`);
  }
  if (errors.length && !homeless.length) return;
  const whole = document.getElementById("form-wrong");
  whole.textContent = homeless.join("; ") || detail;
  whole.hidden = false;
}

// "must be greater than or equal to 1, not -4" and "at least 1" say the same.
function saidOnce(message, allowed) {
  if (!allowed) return message;
  const [isBound, value] = /^must be (?:greater|less) than (?:or equal to )?[^,]*(,.*)?$/.exec(message) ?? [];
  return isBound ? `must be ${allowed}${value ?? ""}` : `${message} (allowed: ${allowed})`;
}

function tellAt(place, text) {
  place.textContent = text;
  const field = document.getElementById(place.dataset.wrong);
  if (field && form.contains(field) && "value" in field) field.setAttribute("aria-invalid", "true");
  for (let fold = place.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
}

async function check() {
  running?.abort();
  running = new AbortController();
  report.setAttribute("aria-busy", "true");
  try {
    const answer = await postSpec("?validate_only=true", running.signal);
    if (answer.ok) {
      clearErrors();
      showPreflight(report, await answer.json());
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

// A hint of the pre-flight report that is pressed becomes the limit.
function takeHint(event) {
  const hint = event.target.closest("[data-limit]");
  if (!hint) return;
  put(spec, `constraints.${hint.dataset.limit}.max`, Number(hint.dataset.max));
  fillAll();
  changed();
  document.getElementById(`constraints.${hint.dataset.limit}.max`).focus();
}

async function launch(event) {
  event.preventDefault();
  // What was typed last is read first.
  if (yamlTimer !== null) {
    clearTimeout(yamlTimer);
    await readYaml();
  }
  if (yamlWrong.textContent) {
    said.textContent = "Not launched: the YAML cannot be read.";
    return yaml.focus();
  }
  const button = document.getElementById("start");
  button.disabled = true;
  said.textContent = "Launching";
  try {
    const answer = await postSpec("");
    if (answer.ok) return location.assign(`/studies/${(await answer.json()).study}`);
    showProblem(await problemOf(answer));
    said.textContent = "Not launched.";
    form.querySelector("[aria-invalid]")?.focus();
  } catch {
    said.textContent = "The server does not answer; nothing was launched.";
  }
  button.disabled = false;
}

form.addEventListener("input", edited);
form.addEventListener("submit", launch);
report.addEventListener("click", takeHint);
yaml.addEventListener("input", () => {
  clearTimeout(yamlTimer);
  yamlTimer = setTimeout(readYaml, PAUSE_MS);
});
fillAll();
changed();
