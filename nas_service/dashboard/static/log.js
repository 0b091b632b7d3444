// The log page: the timeline is as tall as there are workers, and its bars lead to their trials.
import { startPlots } from "./plots.js";

const plot = document.getElementById("timeline");

plot.addEventListener("nas:drawn", () => {
  const area = plot.querySelector(".plot-area");
  const { rows } = plot.nasAnswer;
  const before = plot.className;
  plot.classList.toggle("some", rows > 4 && rows <= 16);
  plot.classList.toggle("many", rows > 16);
  if (plot.className !== before && area.on) Plotly.Plots.resize(area);
  if (area.nasListens || !area.on) return;
  area.nasListens = true;
  area.on("plotly_click", ({ points }) => { if (points[0]?.customdata) location.assign(`/trials/${points[0].customdata[0]}`); });
});
startPlots();
