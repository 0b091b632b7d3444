// The front's page: what is looked at (axes, kinds of points, limits), and the network of the point that is
// chosen by pointer or keyboard. All of it stands in the address.
import { limitQuery, startLimits } from "./limits.js";
import { refresh } from "./live.js";
import { draw, startPlots } from "./plots.js";
import { showTicks } from "./ticks.js";

const plot = document.getElementById("pareto");
const controls = document.getElementById("axes");
const panel = document.getElementById("panel");

function chosenQuery() {
  const form = new FormData(controls);
  const query = new URLSearchParams({ x: form.get("x"), y: form.get("y") });
  if (form.get("z")) query.set("z", form.get("z"));
  query.set("show", form.getAll("show").join(","));
  for (const limit of limitQuery()) query.append("limit", limit);
  return query;
}

function setAddress(query) {
  history.replaceState(null, "", `${location.pathname}?${query}`);
}

// Everything that depends on the choice is asked for again: the plot first, for it is what one looks at.
async function follow() {
  const query = chosenQuery();
  const kept = new URLSearchParams(location.search);
  for (const name of ["x", "y", "z", "show", "limit"]) kept.delete(name);
  setAddress(new URLSearchParams([...query, ...kept]));
  plot.dataset.figure = `${plot.dataset.figure.split("?")[0]}?${query}`;
  const parts = [...document.querySelectorAll("[data-chosen]")];
  for (const part of parts) part.dataset.live = `${part.dataset.live.split("?")[0]}?${query}`;
  if (panel.dataset.live) panel.dataset.live = panelAddress(panel.dataset.live.split("?")[0]);
  await draw(plot);
  for (const part of [...parts, panel]) if (part.dataset.live) await refresh(part);
}

function panelAddress(path) {
  const query = new URLSearchParams(limitQuery().map((limit) => ["limit", limit]));
  return String(query) ? `${path}?${query}` : path;
}

function changeAxes(event) {
  // Two axes on one metric are no plot: the other takes the old one, and a third one goes.
  const { x, y, z } = controls.elements;
  if (x.value === y.value) (event.target === x ? y : x).value = event.target === x ? controls.dataset.x : controls.dataset.y;
  if (z.value === x.value || z.value === y.value) z.value = "";
  Object.assign(controls.dataset, { x: x.value, y: y.value });
  follow();
}

function choose(trial, number) {
  showPanel(trial);
  const query = new URLSearchParams(location.search);
  query.set("trial", number);
  setAddress(query);
}

function showPanel(trial) {
  panel.dataset.live = panelAddress(`/fragments/trials/${trial}/panel`);
  refresh(panel);
}

// A page that was opened before there was a front shows the first network that comes.
function showFirst() {
  const points = frontPoints();
  if (points.length && !panel.dataset.live) showPanel(points.at(-1)[0]);
}

function markChosen() {
  const trial = panel.querySelector("[data-trial]")?.dataset.trial;
  for (const row of document.querySelectorAll("#front tr [data-trial], #walk li [data-trial]")) {
    row.closest("tr, li").classList.toggle("chosen", row.dataset.trial === trial);
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
  // A point in space has no place on the page that plotly would tell.
  if (window.Plotly && traces[curve].type !== "scatter3d") {
    Plotly.Fx.hover(plot.querySelector(".plot-area"), [{ curveNumber: curve, pointNumber: index }]);
  }
}

plot.addEventListener("nas:drawn", () => {
  const area = plot.querySelector(".plot-area");
  if (area.nasListens || !area.on) return;
  area.nasListens = true;
  area.on("plotly_click", ({ points }) => { if (points[0]?.customdata) choose(...points[0].customdata); });
});
plot.addEventListener("nas:drawn", showFirst);
plot.addEventListener("keydown", walk);
controls.addEventListener("change", changeAxes);
document.getElementById("shown").addEventListener("change", changeAxes);
document.addEventListener("nas:replaced", () => { markChosen(); showTicks(); });
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-trial]");
  if (button) choose(button.dataset.trial, button.dataset.number);
});

startLimits(follow);
startPlots();
markChosen();
showTicks();
// What is below the first screen is fetched when the plot is there.
plot.addEventListener("nas:drawn", () => {
  for (const part of document.querySelectorAll("[data-late]")) refresh(part);
}, { once: true });
