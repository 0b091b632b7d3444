// The pre-flight report in words.
const COUNT = new Intl.NumberFormat("en");
const LABELS = {
  params: "parameters", macs: "MACs", model_bytes: "bytes of weights", model_bytes_int8: "bytes of weights in int8", peak_activation_bytes: "bytes of activations",
};

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

function range(small, large, name) {
  return small[name] === large[name]
    ? COUNT.format(Math.round(small[name]))
    : `${COUNT.format(Math.round(small[name]))} to ${COUNT.format(Math.round(large[name]))}`;
}

export function showPreflight(place, report) {
  const lines = [["share", share(report.feasible_share)]];
  const checked = Object.keys(report.broken_share).length > 0;
  lines.push(["", checked
    ? `of ${COUNT.format(report.sampled)} sampled networks keep every limit that is known before measuring.`
    : `of ${COUNT.format(report.sampled)} sampled networks are allowed: no limit is checked before measuring.`]);
  if (report.forbidden_share > 0) lines.push(["", `The space forbids ${share(report.forbidden_share)} of the samples.`]);
  if (report.binding) lines.push(["", report.binding]);
  const small = report.smallest_feasible ?? report.smallest, large = report.largest_feasible ?? report.largest;
  const kind = report.smallest_feasible ? "Feasible networks" : "Sampled networks";
  const sizes = ["params", "macs"].filter((name) => name in small).map((name) => `${range(small, large, name)} ${LABELS[name]}`);
  if (sizes.length) lines.push(["muted", `${kind} have ${sizes.join(" and ")}.`]);
  lines.push(["muted", `${COUNT.format(report.distinct)} of the samples differ; a repeat is never trained twice.`]);
  if (report.estimated_minutes != null) lines.push(["", `Takes ${minutes(report.estimated_minutes)}. ${report.estimate_basis}`]);
  else if (report.estimate_basis) lines.push(["muted", report.estimate_basis]);
  place.replaceChildren(...lines.map(([kind_, text]) => {
    const paragraph = document.createElement("p");
    paragraph.className = kind_;
    paragraph.textContent = text;
    return paragraph;
  }));
}
