// The pre-flight report in words, with other limits to press.
const COUNT = new Intl.NumberFormat("en");
const LABELS = {
  params: "parameters", macs: "MACs", model_bytes: "bytes of weights", model_bytes_int8: "bytes of weights in int8", peak_activation_bytes: "bytes of activations",
};
const SIZES = { params: "Parameters", macs: "MACs", peak_activation_bytes: "Peak memory" };
const POWERS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

function share(value) {
  const percent = value * 100;
  if (percent > 0 && percent < 0.1) return "under 0.1 %";
  return `${percent < 10 && percent > 0 ? percent.toFixed(1) : Math.round(percent)} %`;
}

function minutes(value) {
  if (value < 1) return "less than a minute";
  if (value < 90) return `about ${Math.round(value)} min`;
  return `about ${(value / 60).toFixed(1)} h`;
}

function combinations(count) {
  if (count < 1e6) return COUNT.format(count);
  const power = Math.floor(Math.log10(count));
  return `${(count / 10 ** power).toFixed(2)} × 10${[...String(power)].map((digit) => POWERS[digit]).join("")}`;
}

function size(name, value) {
  if (!name.endsWith("bytes")) return value < 1e6 ? COUNT.format(Math.round(value)) : `${(value / 1e6).toPrecision(3)} M`;
  return value < 1e6 ? `${(value / 1e3).toPrecision(3)} kB` : `${(value / 1e6).toPrecision(3)} MB`;
}

function element(tag, text, className = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function sizesTable(report) {
  const small = report.smallest_feasible ?? report.smallest, large = report.largest_feasible ?? report.largest;
  const table = element("table", ""), head = table.createTHead().insertRow(), body = table.createTBody();
  const kind = report.smallest_feasible ? "feasible" : "drawn";
  for (const text of [`Of the ${kind} ones`, "smallest", "largest"]) {
    const cell = element("th", text, text.startsWith("Of") ? "" : "number");
    cell.scope = "col";
    head.append(cell);
  }
  for (const [name, words] of Object.entries(SIZES)) {
    const row = body.insertRow(), cell = element("th", words);
    cell.scope = "row";
    row.append(cell, element("td", size(name, small[name]), "number"), element("td", size(name, large[name]), "number"));
  }
  return table;
}

function hintsOf(report) {
  if (!report.hints.length) return [];
  const buttons = report.hints.map(({ metric, max, feasible_share }) => {
    const button = element("button", `at most ${COUNT.format(max)} ${LABELS[metric]}: ${share(feasible_share)}`, "chip");
    button.type = "button";
    button.dataset.limit = metric;
    button.dataset.max = max;
    return button;
  });
  const row = element("div", "", "chips");
  row.append(...buttons);
  return [element("h3", "What another limit would leave"), row];
}

export function showPreflight(place, report) {
  const isChecked = Object.keys(report.broken_share).length > 0, soft = Object.entries(report.soft_share ?? {});
  const parts = [
    element("p", share(report.feasible_share), "share"),
    element("p", isChecked
      ? `of ${COUNT.format(report.sampled)} sampled networks keep every ${soft.length ? "hard " : ""}limit that is known before measuring.`
      : `of ${COUNT.format(report.sampled)} sampled networks are allowed: no limit is checked before measuring.`),
  ];
  if (!report.feasible_share) parts.push(element("p", "Nothing drawn is feasible: the search would find next to nothing. Loosen a limit below, or choose another family.", "notice"));
  for (const [metric, broken] of soft) {
    parts.push(element("p", `${share(1 - broken)} keep the soft limit on ${metric}; the others are trained too, and stay off the front.`));
  }
  if (report.forbidden_share > 0) parts.push(element("p", `The space forbids ${share(report.forbidden_share)} of the samples.`));
  if (report.binding) parts.push(element("p", report.binding));
  parts.push(...hintsOf(report), sizesTable(report));
  parts.push(element("p", `${combinations(report.combinations)} combinations; ${COUNT.format(report.distinct)} of the ${COUNT.format(report.sampled)} samples differ. A repeat is never trained twice.`, "muted"));
  if (report.estimated_minutes != null) parts.push(element("p", `Takes ${minutes(report.estimated_minutes)}. ${report.estimate_basis}`));
  else if (report.estimate_basis) parts.push(element("p", report.estimate_basis, "muted"));
  place.replaceChildren(...parts);
}
