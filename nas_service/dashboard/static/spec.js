// A spec from the form's fields, and the same spec as YAML, as a command line and for curl.

const ORDER = ["name", "dataset", "space", "objectives", "constraints", "device", "search", "training", "budget"];

// The fields' names are the spec's paths: "budget.trials". Empty fields are left out, so defaults apply.
export function readSpec(form, original) {
  const spec = structuredClone(original);
  spec.constraints ??= {};
  for (const field of form.elements) {
    if (!field.name || field.type === "checkbox" || field.name.endsWith(".at")) continue;
    const text = field.value.trim();
    const value = field.type === "number" && text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
    if (field.name === "space" && text === "") continue;
    put(spec, field.name.split("."), field.name, value);
  }
  if (!spec.name) spec.name = form.elements.name.placeholder || "search";
  setObjectives(spec, form);
  setLatencyStatistic(spec, form);
  if (spec.budget?.minutes && spec.budget.trials === undefined) spec.budget.trials = null;
  if (!Object.keys(spec.constraints).length) delete spec.constraints;
  return Object.fromEntries(ORDER.filter((key) => key in spec).map((key) => [key, spec[key]]));
}

function put(spec, path, name, value) {
  const key = path.at(-1);
  const groups = path.slice(0, -1);
  if (value === "") {
    let group = spec;
    for (const part of groups) group = group?.[part];
    if (!group) return;
    delete group[key];
    if (name.startsWith("constraints.") && group.min == null) delete spec.constraints[path[1]];
    return;
  }
  let group = spec;
  for (const part of groups) group = group[part] ??= {};
  group[key] = value;
}

function setObjectives(spec, form) {
  const boxes = [...form.querySelectorAll("[name=objectives]")];
  const goals = new Map((spec.objectives ?? []).map((objective) => [objective.metric, objective.goal]));
  const shown = new Set(boxes.map((box) => box.value));
  const hidden = (spec.objectives ?? []).filter((objective) => !shown.has(objective.metric));
  const chosen = boxes.filter((box) => box.checked);
  spec.objectives = [...chosen.map((box) => ({ metric: box.value, goal: goals.get(box.value) ?? box.dataset.goal })), ...hidden];
}

function setLatencyStatistic(spec, form) {
  const at = form.elements["constraints.latency_ms.at"].value;
  const limit = spec.constraints.latency_ms;
  if (limit && at !== "median") limit.at = at;
  else if (limit) delete limit.at;
}

export function yamlOf(spec) {
  return yamlLines(spec, "").join("\n") + "\n";
}

function yamlLines(group, indent) {
  return Object.entries(group).flatMap(([key, value]) => {
    if (Array.isArray(value)) return [`${indent}${key}: [${value.map(flow).join(", ")}]`];
    if (value === null || typeof value !== "object") return [`${indent}${key}: ${scalar(value)}`];
    const inner = Object.values(value);
    const isFlat = inner.every((part) => part === null || typeof part !== "object");
    if (isFlat || !inner.length) return [`${indent}${key}: ${flow(value)}`];
    return [`${indent}${key}:`, ...yamlLines(value, `${indent}  `)];
  });
}

function flow(value) {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (value === null || typeof value !== "object") return scalar(value);
  return `{${Object.entries(value).map(([key, part]) => `${key}: ${flow(part)}`).join(", ")}}`;
}

function scalar(value) {
  if (typeof value !== "string") return String(value);
  // JSON's quoting is YAML's double quoting; words that YAML would read as something else need it too.
  const isPlain = /^[A-Za-z_][\w./-]*$/.test(value) && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(value);
  return isPlain ? value : JSON.stringify(value);
}

const FLAGS = {
  dataset: "--dataset", name: "--name", device: "--device", "search.sampler": "--sampler", "search.seed": "--seed",
  "training.epochs": "--epochs", "training.early_stopping": "--early-stopping", "budget.trials": "--trials",
  "budget.minutes": "--minutes", "constraints.params.max": "--max-params", "constraints.macs.max": "--max-macs",
  "constraints.latency_ms.max": "--max-latency-ms", "constraints.model_bytes.max": "--max-model-bytes",
  "constraints.peak_activation_bytes.max": "--max-peak-activation-bytes",
};

// One line of flags; what has no flag needs the file.
export function commandOf(spec) {
  const flat = Object.fromEntries(leaves(spec, ""));
  const objectives = spec.objectives.map((objective) => `--objective ${objective.metric}:${objective.goal}`);
  const family = typeof spec.space === "string" ? [`--family ${quoted(spec.space)}`] : [];
  const known = (path) => path in FLAGS || path === "space" || path.startsWith("objectives");
  const needsFile = Object.entries(flat).some(([path, value]) => !known(path) && value !== null);
  if (needsFile) return "nas search spec.yaml";
  const flags = Object.entries(FLAGS).filter(([path]) => flat[path] != null).map(([path, flag]) => `${flag} ${quoted(flat[path])}`);
  return ["nas search", ...flags.slice(0, 1), ...family, ...objectives, ...flags.slice(1)].join(" ");
}

export function curlOf(spec, origin) {
  const body = JSON.stringify(spec).replaceAll("'", "'\\''");
  return `curl -X POST ${origin}/api/v1/studies -H 'Content-Type: application/json' -d '${body}'`;
}

function leaves(value, path) {
  if (value === null || typeof value !== "object" || path === "objectives") return [[path, value]];
  return Object.entries(value).flatMap(([key, part]) => leaves(part, path ? `${path}.${key}` : key));
}

function quoted(value) {
  const text = String(value);
  return /^[\w./:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
