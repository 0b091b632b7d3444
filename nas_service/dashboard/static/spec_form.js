// The form as a view onto one spec: an input writes the one field it is for, so that nothing else is ever lost.

export function at(spec, path) {
  return path.split(".").reduce((group, key) => (isGroup(group) ? group[key] : undefined), spec);
}

export function isGroup(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

export function put(spec, path, value) {
  const keys = path.split("."), last = keys.pop();
  let group = spec;
  for (const key of keys) {
    if (!isGroup(group[key])) group[key] = {};
    group = group[key];
  }
  group[last] = value;
}

// Takes a field away, and the groups above it that are empty then, but for those that are wanted as they are.
export function remove(spec, path, wanted = () => false) {
  const above = path.split(".").slice(0, -1).join(".");
  const group = above ? at(spec, above) : spec;
  if (!isGroup(group)) return;
  delete group[path.split(".").at(-1)];
  if (above && !Object.keys(group).length && !wanted(above)) remove(spec, above, wanted);
}

// What an input holds, as the spec would: undefined means that the field is left out.
function valueOf(field) {
  const { kind, nullable } = field.dataset, standard = JSON.parse(field.dataset.default);
  if (kind === "boolean") return field.checked;
  // What is no number reads as empty, which would be no limit: the server is to refuse it by its field.
  if (field.validity.badInput) return "not a number";
  const text = field.value.trim();
  if (text === "") return nullable !== undefined && standard !== null ? null : undefined;
  if (kind === "list") return listOf(text);
  const isNumber = (kind === "number" || kind === "integer") && Number.isFinite(Number(text));
  return isNumber ? Number(text) : text;
}

function listOf(text) {
  try {
    const parsed = JSON.parse(text.startsWith("[") ? text : `[${text}]`);
    return parsed.length ? parsed : undefined;
  } catch {
    return text.replace(/^\[|\]$/g, "").split(",").map((part) => part.trim()).filter(Boolean)
      .map((part) => (Number.isFinite(Number(part)) ? Number(part) : part));
  }
}

// Writes one input's value into the spec.
export function take(spec, field, form) {
  const path = field.dataset.path, value = valueOf(field);
  const wanted = (group) => form.querySelector(`[data-group="${CSS.escape(group)}"]`)?.checked;
  if (value !== undefined) return put(spec, path, value);
  remove(spec, path, wanted);
  // A limit without bounds is none.
  const [group, metric] = path.split(".");
  const limit = group === "constraints" ? at(spec, `constraints.${metric}`) : null;
  if (isGroup(limit) && limit.max == null && limit.min == null) remove(spec, `constraints.${metric}`);
}

// Shows a spec in the inputs; what it leaves out has its default, where the group that it is in is there at all.
export function fill(form, spec) {
  for (const field of form.querySelectorAll("[data-path]")) {
    if (field === document.activeElement) continue;
    const value = at(spec, field.dataset.path), standard = JSON.parse(field.dataset.default);
    const isMissing = optionalGroupsOf(form, field).some((group) => !isGroup(at(spec, group)));
    show(field, value === undefined ? (isMissing ? null : standard) : value);
  }
  for (const box of form.querySelectorAll("[data-group]")) box.checked = isGroup(at(spec, box.dataset.group));
  markChanged(form, spec);
}

function optionalGroupsOf(form, field) {
  return [...form.querySelectorAll("[data-group]")].map((box) => box.dataset.group)
    .filter((group) => field.dataset.path.startsWith(`${group}.`));
}

function show(field, value) {
  if (field.type === "checkbox") field.checked = value === true;
  else if (Array.isArray(value)) field.value = value.every((part) => part === null || typeof part !== "object")
    ? value.join(", ") : JSON.stringify(value);
  else {
    const text = value === null || value === undefined ? "" : String(value);
    // A choice that the page does not know yet, such as a new data set.
    if (field.tagName === "SELECT" && ![...field.options].some((option) => option.value === text)) field.append(new Option(text, text));
    field.value = text;
  }
}

// Beside each folded group: how many of its fields the spec sets.
export function markChanged(form, spec) {
  for (const mark of form.querySelectorAll("[data-changed]")) {
    const prefix = `${mark.dataset.changed}.`;
    const fields = [...form.querySelectorAll(`[data-fields="${CSS.escape(mark.dataset.changed)}"] [data-path]`)];
    const count = fields.filter((field) => field.dataset.path.startsWith(prefix) && at(spec, field.dataset.path) !== undefined).length;
    mark.textContent = count ? ` · ${count} set` : "";
  }
}

export function objectivesOf(spec) {
  return Array.isArray(spec.objectives) ? spec.objectives : [{ metric: "accuracy" }, { metric: "latency_ms" }];
}

export function fillObjectives(form, spec) {
  const chosen = new Set(objectivesOf(spec).map((objective) => objective?.metric));
  for (const box of form.querySelectorAll("[name=objectives]")) box.checked = chosen.has(box.value);
}

export function takeObjective(spec, box) {
  const others = objectivesOf(spec).filter((objective) => objective?.metric !== box.value);
  spec.objectives = box.checked ? [...others, { metric: box.value }] : others;
}
