// Draws the server's figures in the reader's theme. An element with data-figure="/figures/....json" holds
// .plot-area and .message; data-ready says that the newest figure is drawn.

const CONFIG = {
  displaylogo: false,
  responsive: true,
  // Plotly would offer to upload the figure to its makers' cloud.
  showSendToCloud: false,
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["sendChartToCloud", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
};

// Plotly's own button saves the picture as PNG, ours as SVG; both are named after the figure.
function configOf(plot) {
  const filename = plot.dataset.figure.split("?")[0].split("/").slice(2).join("-").replace(".json", "");
  const click = (area) => Plotly.downloadImage(area, { format: "svg", filename });
  return {
    ...CONFIG,
    toImageButtonOptions: { filename },
    modeBarButtonsToAdd: [{ name: "toSvg", title: "Download plot as an SVG", icon: Plotly.Icons.disk, click }],
  };
}

const AXIS = /^[xy]axis\d*$/;

function themed(layout) {
  const style = getComputedStyle(document.documentElement);
  const probe = document.createElement("i");
  document.body.append(probe);
  // light-dark() resolves only on a real property of an element.
  const color = (name) => { probe.style.color = style.getPropertyValue(name); return getComputedStyle(probe).color; };
  const [text, muted, edge, panel] = ["--text", "--muted", "--edge", "--panel"].map(color);
  probe.remove();
  const result = {
    ...layout,
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: muted },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 56, r: 12, t: 12, b: 44, ...layout.margin },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: text },
    hoverlabel: { bgcolor: panel, bordercolor: edge, font: { color: text, size: 12 }, align: "left" },
    autosize: true,
  };
  for (const name of ["xaxis", "yaxis", "zaxis"].filter(() => layout.scene)) {
    result.scene = { ...layout.scene, ...result.scene };
    result.scene[name] = { gridcolor: edge, linecolor: edge, zerolinecolor: edge, color: muted, showbackground: false, ...layout.scene[name] };
  }
  for (const name of Object.keys(layout).filter((key) => AXIS.test(key))) {
    result[name] = {
      gridcolor: edge, linecolor: edge, zerolinecolor: edge, zeroline: false, automargin: true, ...layout[name],
      title: { standoff: 8, ...layout[name].title },
    };
  }
  return result;
}

const NARROW_PX = 480, STEP_BACK = 1.3;

// A narrow plot in space is seen from further away, or the words at its sides would be cut.
function fitted(layout, area) {
  if (!layout.scene || area.clientWidth >= NARROW_PX) return layout;
  const eye = Object.entries(layout.scene.camera.eye).map(([axis, value]) => [axis, value * STEP_BACK]);
  return { ...layout, scene: { ...layout.scene, camera: { ...layout.scene.camera, eye: Object.fromEntries(eye) } } };
}

// The ticks of a whole logarithmic axis are too few where one has zoomed into a part of it.
function refineTicks(area) {
  if (area.nasRefines) return;
  area.nasRefines = true;
  area.on("plotly_relayout", (change) => {
    const zoomed = ["xaxis", "yaxis"].filter((name) => area.layout[name]?.type === "log"
      && (`${name}.range[0]` in change || `${name}.autorange` in change));
    const dticks = zoomed.map((name) => {
      const [low, high] = area.layout[name].range;
      return [`${name}.dtick`, high - low < Math.log10(5) ? null : high - low <= 3 ? "D2" : 1];
    });
    if (dticks.length) Plotly.relayout(area, Object.fromEntries(dticks));
  });
}

// Fetches and draws; returns the answer, or null where the server is away or a newer request came first.
export async function draw(plot) {
  const address = plot.dataset.figure;
  let answer;
  try {
    const response = await fetch(address);
    if (!response.ok) return null;
    const text = await response.text();
    // Most refreshes bring nothing new, and drawing is what costs.
    if (text === plot.nasText || address !== plot.dataset.figure) return plot.nasAnswer;
    answer = JSON.parse(text);
    plot.nasText = text;
  } catch {
    return null;
  }
  plot.nasAnswer = answer;
  await redraw(plot);
  return answer;
}

const PATIENCE_MS = 1000;
let plotly = null;

// Reading plotly.js keeps the page from answering for most of a second: first it is connected and at rest.
function atRest() {
  const live = document.getElementById("live");
  return new Promise((resolve) => {
    const look = () => { if (live.dataset.state !== "connecting") requestIdleCallback(resolve, { timeout: PATIENCE_MS }); };
    new MutationObserver(look).observe(live, { attributeFilter: ["data-state"] });
    setTimeout(resolve, PATIENCE_MS);
    look();
  });
}

// Runs plotly.js once a figure is there to draw; the page works before that.
async function loadPlotly() {
  await atRest();
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = document.getElementById("plotly-script").href;
    script.onload = resolve;
    script.onerror = () => { plotly = null; reject(new Error("plotly.js could not be loaded")); };
    document.head.append(script);
  });
  return plotly;
}

async function redraw(plot) {
  const { figure, message, caption } = plot.nasAnswer;
  const says = plot.querySelector(".message");
  says.textContent = message ?? "";
  says.hidden = !message;
  const under = document.getElementById(plot.dataset.caption);
  if (under) under.textContent = caption ?? "";
  const area = plot.querySelector(".plot-area");
  // Nothing to be seen behind a message is not to be reached behind it either.
  area.hidden = Boolean(message);
  if (!message) {
    await loadPlotly();
    await Plotly.react(area, figure.data, fitted(themed(figure.layout), area), configOf(plot));
    refineTicks(area);
  }
  // The server's picture of the first moment stays where plotly.js could not be loaded.
  area.querySelector(".still")?.remove();
  plot.dataset.ready = String(Number(plot.dataset.ready ?? 0) + 1);
  plot.dispatchEvent(new CustomEvent("nas:drawn"));
}

export function startPlots() {
  const plots = [...document.querySelectorAll("[data-figure]:not([data-own])")];
  for (const plot of plots) {
    plot.nasRefresh = draw;
    draw(plot);
  }
  const again = () => plots.filter((plot) => plot.nasAnswer).forEach(redraw);
  document.addEventListener("nas:theme", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
}
