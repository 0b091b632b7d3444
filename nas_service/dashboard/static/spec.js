// A spec as YAML, as a command line and for curl.

export function yamlOf(spec) {
  return yamlLines(spec, "").join("\n") + "\n";
}

function yamlLines(group, indent) {
  return Object.entries(group).flatMap(([key, value]) => {
    const name = scalar(key);
    if (Array.isArray(value)) return [`${indent}${name}: [${value.map(flow).join(", ")}]`];
    if (value === null || typeof value !== "object") return [`${indent}${name}: ${scalar(value)}`];
    const inner = Object.values(value);
    const isFlat = inner.every((part) => part === null || typeof part !== "object");
    if (isFlat || !inner.length) return [`${indent}${name}: ${flow(value)}`];
    return [`${indent}${name}:`, ...yamlLines(value, `${indent}  `)];
  });
}

function flow(value) {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (value === null || typeof value !== "object") return scalar(value);
  return `{${Object.entries(value).map(([key, part]) => `${scalar(key)}: ${flow(part)}`).join(", ")}}`;
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

// How many a spec without a number trains; a command that names minutes alone trains as many as fit.
const DEFAULT_TRIALS = 100;
const SOFT = /^constraints\.(\w+)\.soft$/;

// One line of flags; what has no flag needs the file.
export function commandOf(spec) {
  const flat = Object.fromEntries(leaves(spec, ""));
  if (flat["budget.minutes"] != null && flat["budget.trials"] === undefined) flat["budget.trials"] = DEFAULT_TRIALS;
  const objectives = (Array.isArray(spec.objectives) ? spec.objectives : [])
    .map(({ metric, goal }) => `--objective ${quoted(goal ? `${metric}:${goal}` : metric)}`);
  const family = typeof spec.space === "string" ? [`--family ${quoted(spec.space)}`] : [];
  const soft = Object.keys(flat).map((path) => SOFT.exec(path)).filter((found) => found && flat[found[0]] === true);
  const known = (path) => path in FLAGS || path === "space" || path.startsWith("objectives") || SOFT.test(path);
  const needsFile = Object.entries(flat).some(([path, value]) => !known(path) && value !== null);
  if (needsFile) return "nas search spec.yaml   # with the YAML above in spec.yaml";
  const flags = Object.entries(FLAGS).filter(([path]) => flat[path] != null).map(([path, flag]) => `${flag} ${quoted(flat[path])}`);
  const softly = soft.map((found) => `--soft ${found[1]}`);
  return ["nas search", ...flags.slice(0, 1), ...family, ...objectives, ...flags.slice(1), ...softly].join(" ");
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
