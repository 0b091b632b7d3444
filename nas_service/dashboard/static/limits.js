// Limits as inputs: a slider on a logarithmic scale beside a number, and whoever follows is told of a change.
const STEPS = 1000;
const PAUSE_MS = 120;
const SUFFIXES = { k: 1e3, m: 1e6, g: 1e9 };
const rows = [...document.querySelectorAll("[data-limit]")].map(rowOf);

function rowOf(element) {
  const [slider, field] = element.querySelectorAll("input");
  const { limit, low, high, own } = element.dataset;
  return { name: limit, low: Number(low), high: Math.max(Number(high), Number(low) * 1.01), own, slider, field };
}

// Numbers as people write them: 50,000 and 50k are the same.
function numberOf(text) {
  const [, digits, suffix] = text.replaceAll(/[,\s]/g, "").match(/^([\d.]+)([kmg]?)$/i) ?? [];
  return digits === undefined ? NaN : Number(digits) * (SUFFIXES[suffix.toLowerCase()] ?? 1);
}

function place(row) {
  const value = row.field.value.trim() ? numberOf(row.field.value) : row.high;
  const share = Math.log(value / row.low) / Math.log(row.high / row.low);
  row.slider.value = Math.round(STEPS * Math.min(1, Math.max(0, share || 0)));
  row.slider.setAttribute("aria-valuetext", row.field.value.trim() || "any");
}

function slide(row) {
  const value = row.low * (row.high / row.low) ** (row.slider.value / STEPS);
  // Three figures are enough, and the ends are the ends.
  row.field.value = Number(row.slider.value) === STEPS && !row.own ? "" : String(Number(value.toPrecision(3)));
  row.slider.setAttribute("aria-valuetext", row.field.value || "any");
}

// `name:bound` of every limit that is not the study's own, `name:` where it is to be none.
export function limitQuery() {
  return rows.flatMap(({ name, own, field }) => {
    const value = numberOf(field.value);
    if (!field.value.trim()) return own ? [`${name}:`] : [];
    return value > 0 && value !== Number(own || NaN) ? [`${name}:${value}`] : [];
  });
}

function check() {
  const wrong = rows.filter((row) => row.field.value.trim() && !(numberOf(row.field.value) > 0));
  for (const row of rows) row.field.setAttribute("aria-invalid", String(wrong.includes(row)));
  document.getElementById("limits-wrong").textContent = wrong.length
    ? "A limit is a number above 0, such as 50000 or 50k; empty is any." : "";
}

export function startLimits(follow) {
  let timer = null;
  const soon = () => { clearTimeout(timer); timer = setTimeout(() => { check(); follow(); }, PAUSE_MS); };
  for (const row of rows) {
    place(row);
    row.slider.addEventListener("input", () => { slide(row); soon(); });
    row.field.addEventListener("input", () => { place(row); soon(); });
  }
  document.getElementById("limits-reset")?.addEventListener("click", () => {
    for (const row of rows) { row.field.value = row.own; place(row); }
    soon();
  });
}
