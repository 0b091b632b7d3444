// The analysis page: the metric that everything is about, and points that lead to their trials.
import { refresh } from "./live.js";
import { draw, startPlots } from "./plots.js";
import { startParallel } from "./parallel.js";

const form = document.getElementById("analysed");
const slices = document.getElementById("slices");

// As many small plots beside each other as there is room for.
function columns() {
  const width = slices.clientWidth;
  return width > 640 ? 3 : width > 420 ? 2 : 1;
}

function changed(address, values) {
  const [path, query = ""] = address.split("?");
  const search = new URLSearchParams(query);
  for (const [name, value] of Object.entries(values)) search.set(name, value);
  return `${path}?${search}`;
}

function showMetric() {
  const metric = form.elements.metric.value;
  history.replaceState(null, "", changed(location.pathname + location.search, { metric }));
  for (const id of ["importance", "slices", "parallel"]) {
    const plot = document.getElementById(id);
    plot.dataset.figure = changed(plot.dataset.figure, { metric });
    (plot.nasRefresh ?? draw)(plot);
  }
}

form.addEventListener("change", showMetric);
form.addEventListener("submit", (event) => event.preventDefault());
slices.dataset.figure = changed(slices.dataset.figure, { columns: columns() });
slices.addEventListener("nas:drawn", () => {
  const area = slices.querySelector(".plot-area");
  if (area.nasListens || !area.on) return;
  area.nasListens = true;
  area.on("plotly_click", ({ points }) => { if (points[0]?.customdata) location.assign(`/trials/${points[0].customdata[0]}`); });
});
startPlots();
// Read behind the plots, for it takes long on a large study's first look.
refresh(document.getElementById("facts"));
startParallel(document.getElementById("parallel"));
