// The study page: choice of axes, and the network of the point that is chosen by pointer or keyboard.
import { refresh } from "./live.js";
import { draw, startPlots } from "./plots.js";

const plot = document.getElementById("pareto");
const controls = document.getElementById("axes");
const panel = document.getElementById("panel");

function readControls() {
  const form = new FormData(controls);
  return { x: form.get("x"), y: form.get("y"), show: form.getAll("show").join(",") };
}

function setAddress(values) {
  const search = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(values)) search.set(name, value);
  history.replaceState(null, "", `${location.pathname}?${search}`);
}

function changeAxes(event) {
  // Both axes on one metric is no plot: the other takes the old one.
  const { x, y } = controls.elements;
  if (x.value === y.value) (event.target === x ? y : x).value = event.target === x ? controls.dataset.x : controls.dataset.y;
  const chosen = readControls();
  Object.assign(controls.dataset, { x: chosen.x, y: chosen.y });
  setAddress(chosen);
  plot.dataset.figure = `${plot.dataset.figure.split("?")[0]}?${new URLSearchParams(chosen)}`;
  draw(plot);
}

function choose(trial, number) {
  panel.dataset.live = `/fragments/trials/${trial}/panel`;
  setAddress({ trial: number });
  refresh(panel);
}

function markChosen() {
  const trial = panel.querySelector("[data-trial]")?.dataset.trial;
  for (const row of document.querySelectorAll("#front [data-trial]")) {
    row.closest("tr").classList.toggle("chosen", row.dataset.trial === trial);
  }
}

// Points of the front from left to right; plotly itself has no keyboard navigation.
function frontPoints() {
  const trace = plot.nasAnswer?.figure.data.find((candidate) => candidate.name === "front");
  return trace?.customdata ?? [];
}

function walk(event) {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const points = frontPoints();
  if (!points.length || event.target !== plot) return;
  if (event.key === "Enter") {
    panel.querySelector("a")?.click();
  } else if (step) {
    event.preventDefault();
    const current = points.findIndex(([trial]) => String(trial) === panel.querySelector("[data-trial]")?.dataset.trial);
    const next = current < 0 ? 0 : Math.min(points.length - 1, Math.max(0, current + step));
    choose(...points[next]);
    showHover(next);
  }
}

function showHover(index) {
  const traces = plot.nasAnswer.figure.data;
  const curve = traces.findIndex((trace) => trace.name === "front");
  Plotly.Fx.hover(plot.querySelector(".plot-area"), [{ curveNumber: curve, pointNumber: index }]);
}

plot.addEventListener("nas:drawn", () => {
  const area = plot.querySelector(".plot-area");
  if (area.nasListens || !area.on) return;
  area.nasListens = true;
  area.on("plotly_click", ({ points }) => { if (points[0]?.customdata) choose(...points[0].customdata); });
});
plot.addEventListener("keydown", walk);
controls.addEventListener("change", changeAxes);
document.getElementById("shown").addEventListener("change", changeAxes);
document.addEventListener("nas:replaced", markChosen);
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-trial]");
  if (button) choose(button.dataset.trial, button.dataset.number);
});

startPlots();
markChosen();
