// Parallel coordinates on a canvas of our own: plotly's need eval, which the pages forbid. Bounds are set by
// dragging along an axis or by the fields below, and stand in the address.

const PAD = { top: 44, bottom: 26, left: 40, right: 92 };
// Cividis (Nunez et al. 2018), from low to high.
const RAMP = [[0, 32, 77], [49, 68, 107], [102, 105, 112], [149, 143, 120], [202, 185, 105], [255, 234, 70]];
const MOST_ROWS = 10;

export function startParallel(root) {
  const canvas = root.querySelector("canvas");
  const bounds = new Map(readAddress());
  let data = null, drag = null;

  const axes = () => data.axes;
  const height = () => canvas.clientHeight - PAD.top - PAD.bottom;
  const x = (place) => PAD.left + (place * (canvas.clientWidth - PAD.left - PAD.right)) / Math.max(1, axes().length - 1);
  const y = (axis, value) => value === null
    // What a network does not have runs below the axis.
    ? canvas.clientHeight - PAD.bottom + 12
    : PAD.top + height() * (1 - (value - axis.range[0]) / (axis.range[1] - axis.range[0]));
  const valueAt = (axis, top) => axis.range[0] + (1 - (top - PAD.top) / height()) * (axis.range[1] - axis.range[0]);

  const isWithin = (line) => axes().every((axis, place) => {
    const bound = bounds.get(axis.name);
    return !bound || (line[place] !== null && line[place] >= bound[0] && line[place] <= bound[1]);
  });

  function paint() {
    const ratio = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * ratio;
    canvas.height = canvas.clientHeight * ratio;
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const isDark = getComputedStyle(document.documentElement).colorScheme === "dark"
      || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    const isChosen = data.lines.map(isWithin);
    pen.lineWidth = 1;
    for (const wanted of [false, true]) {
      data.lines.forEach((line, place) => {
        if (isChosen[place] !== wanted) return;
        pen.globalAlpha = wanted ? (data.front[place] ? 1 : 0.45) : 0.08;
        pen.lineWidth = wanted && data.front[place] ? 2.2 : 1;
        pen.strokeStyle = wanted ? colour(line[0], axes()[0].range, isDark) : style.color;
        pen.beginPath();
        line.forEach((value, axis) => pen[axis ? "lineTo" : "moveTo"](x(axis), y(axes()[axis], value)));
        pen.stroke();
      });
    }
    pen.globalAlpha = 1;
    axes().forEach((axis, place) => paintAxis(pen, axis, place, style));
  }

  function paintAxis(pen, axis, place, style) {
    const left = x(place);
    pen.strokeStyle = pen.fillStyle = style.color;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(left, PAD.top);
    pen.lineTo(left, PAD.top + height());
    pen.stroke();
    pen.font = `600 12px ${style.fontFamily}`;
    pen.textAlign = "center";
    const room = (canvas.clientWidth - PAD.left - PAD.right) / Math.max(1, axes().length - 1) * 1.7;
    // Neighbours' names stand at two heights, so that they do not run into each other.
    const name = clipped(pen, axis.label, room), half = pen.measureText(name).width / 2;
    // Those of the outer axes move inwards rather than out of the picture.
    pen.fillText(name, Math.min(Math.max(left, half), canvas.clientWidth - half), place % 2 ? 28 : 12);
    pen.font = `11px ${style.fontFamily}`;
    pen.textAlign = "left";
    const panel = getComputedStyle(canvas.closest(".panel")).backgroundColor;
    for (const [value, words] of axis.ticks) {
      const text = clipped(pen, words, room / 1.9);
      pen.fillStyle = panel;
      pen.globalAlpha = 0.75;
      pen.fillRect(left + 3, y(axis, value) - 7, pen.measureText(text).width + 4, 14);
      pen.globalAlpha = 1;
      pen.fillStyle = style.color;
      pen.fillText(text, left + 5, y(axis, value) + 4);
    }
    if (data.lines.some((line) => line[place] === null)) pen.fillText("not there", left + 5, y(axis, null) + 4);
    const bound = bounds.get(axis.name);
    if (!bound) return;
    const [top, end] = [y(axis, Math.min(bound[1], axis.range[1])), y(axis, Math.max(bound[0], axis.range[0]))];
    pen.globalAlpha = 0.35;
    pen.fillStyle = "#0072B2";
    pen.fillRect(left - 7, top - 3, 14, end - top + 6);
    pen.globalAlpha = 1;
    pen.strokeStyle = "#0072B2";
    pen.strokeRect(left - 7, top - 3, 14, end - top + 6);
  }

  function show() {
    paint();
    const chosen = data.lines.map((line, place) => [line, place]).filter(([line]) => isWithin(line));
    const thinned = data.lines.length < data.total ? ` Thinned from ${data.total.toLocaleString("en")}; the front is whole.` : "";
    document.getElementById("parallel-caption").textContent =
      `${chosen.length.toLocaleString("en")} of ${data.lines.length.toLocaleString("en")} networks are within the bounds.${thinned}`;
    document.getElementById("clear-bounds").hidden = !bounds.size;
    fillTable(chosen);
    writeAddress(bounds);
  }

  function fillTable(chosen) {
    const table = document.getElementById("within");
    table.hidden = !bounds.size;
    if (!bounds.size) return;
    const sign = axes()[0].goal === "max" ? -1 : 1;
    const best = chosen.filter(([line]) => line[0] !== null).sort(([a], [b]) => sign * (a[0] - b[0])).slice(0, MOST_ROWS);
    table.tHead.replaceChildren(row("th", ["Trial", ...axes().map((axis) => axis.label)]));
    table.tBodies[0].replaceChildren(...best.map(([line, place]) => {
      const cells = row("td", ["", ...line.map((value, axis) => words(axes()[axis], value))]);
      const link = document.createElement("a");
      link.href = `/trials/${data.ids[place]}`;
      link.textContent = `#${data.numbers[place]}`;
      cells.cells[0].append(link);
      return cells;
    }));
  }

  function fillBounds() {
    document.getElementById("bounds").replaceChildren(...axes().map((axis) => {
      const group = document.createElement("fieldset");
      const legend = document.createElement("legend");
      legend.textContent = axis.label;
      group.append(legend, ...(axis.is_choice ? [choice(axis)] : [0, 1].map((end) => number(axis, end))));
      return group;
    }));
  }

  function choice(axis) {
    const select = document.createElement("select");
    select.setAttribute("aria-label", axis.label);
    select.append(new Option("any", ""), ...axis.ticks.map(([value, text]) => new Option(text, value)));
    const bound = bounds.get(axis.name);
    if (bound && Math.floor(bound[1]) - Math.ceil(bound[0]) === 0) select.value = String(Math.ceil(bound[0]));
    select.addEventListener("change", () => {
      if (select.value === "") bounds.delete(axis.name);
      else bounds.set(axis.name, [Number(select.value) - 0.4, Number(select.value) + 0.4]);
      show();
    });
    return select;
  }

  function number(axis, end) {
    const input = document.createElement("input");
    input.type = "number";
    input.step = "any";
    input.placeholder = end ? "at most" : "at least";
    input.setAttribute("aria-label", `${axis.label} ${end ? "at most" : "at least"}`);
    const known = bounds.get(axis.name)?.[end];
    if (Number.isFinite(known)) input.value = String(Number(known.toPrecision(6)));
    input.addEventListener("change", () => {
      const bound = [...(bounds.get(axis.name) ?? [-Infinity, Infinity])];
      bound[end] = input.value === "" ? (end ? Infinity : -Infinity) : Number(input.value);
      if (bound.some(Number.isFinite)) bounds.set(axis.name, bound);
      else bounds.delete(axis.name);
      show();
    });
    return input;
  }

  function axisAt(event) {
    const box = canvas.getBoundingClientRect();
    const across = event.clientX - box.left;
    const places = axes().map((_, place) => Math.abs(x(place) - across));
    const nearest = places.indexOf(Math.min(...places));
    return places[nearest] < 24 ? [axes()[nearest], event.clientY - box.top] : null;
  }

  canvas.addEventListener("pointerdown", (event) => {
    const found = data && axisAt(event);
    if (!found) return;
    canvas.setPointerCapture(event.pointerId);
    drag = { axis: found[0], from: found[1] };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    const top = event.clientY - canvas.getBoundingClientRect().top;
    if (Math.abs(top - drag.from) < 4) return;
    bounds.set(drag.axis.name, [valueAt(drag.axis, Math.max(top, drag.from)), valueAt(drag.axis, Math.min(top, drag.from))]);
    drag.moved = true;
    paint();
  });
  canvas.addEventListener("pointerup", () => {
    if (!drag) return;
    if (!drag.moved) bounds.delete(drag.axis.name);
    drag = null;
    fillBounds();
    show();
  });
  document.getElementById("clear-bounds").addEventListener("click", () => {
    bounds.clear();
    fillBounds();
    show();
  });
  const again = () => { if (data?.lines.length) paint(); };
  new ResizeObserver(again).observe(canvas);
  document.addEventListener("nas:theme", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);

  root.nasRefresh = async () => {
    const address = root.dataset.figure;
    try {
      const response = await fetch(address);
      if (!response.ok) return;
      const text = await response.text();
      if (text === root.nasText || address !== root.dataset.figure || drag) return;
      const before = data && data.axes.map((axis) => axis.name).join();
      data = JSON.parse(text);
      root.nasText = text;
      const says = root.querySelector(".message");
      says.textContent = data.message ?? "";
      says.hidden = !data.message;
      if (!data.message) {
        // What is being typed stays.
        if (before !== data.axes.map((axis) => axis.name).join()) fillBounds();
        show();
      }
      root.dataset.ready = String(Number(root.dataset.ready ?? 0) + 1);
    } catch { /* the connection's state is told elsewhere */ }
  };
  root.nasRefresh();
}

function colour(value, [low, high], isDark) {
  if (value === null) return "#8c96a0";
  const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
  // The ends that would vanish in the page's ground are left out.
  const place = (isDark ? 0.25 + 0.75 * share : 0.85 * share) * (RAMP.length - 1);
  const [a, b] = [RAMP[Math.floor(place)], RAMP[Math.min(RAMP.length - 1, Math.floor(place) + 1)]];
  return `rgb(${a.map((part, i) => Math.round(part + (b[i] - part) * (place % 1))).join(" ")})`;
}

function clipped(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  let kept = text;
  while (kept.length > 3 && pen.measureText(`…${kept}`).width > room) kept = kept.slice(1);
  return `…${kept}`;
}

function words(axis, value) {
  if (value === null) return "–";
  if (axis.is_choice) return axis.ticks[value]?.[1] ?? "–";
  return Number(value.toPrecision(4)).toLocaleString("en", { maximumFractionDigits: 6 });
}

function row(kind, texts) {
  const made = document.createElement("tr");
  for (const text of texts) {
    const cell = document.createElement(kind);
    cell.textContent = text;
    if (kind === "th") cell.scope = "col";
    made.append(cell);
  }
  return made;
}

function readAddress() {
  try {
    const stored = JSON.parse(new URLSearchParams(location.search).get("bounds") ?? "[]");
    return stored.map(([name, low, high]) => [String(name), [low ?? -Infinity, high ?? Infinity]]);
  } catch {
    return [];
  }
}

function writeAddress(bounds) {
  const search = new URLSearchParams(location.search);
  // JSON writes infinity as null.
  const stored = [...bounds].map(([name, [low, high]]) => [name, Number(low.toPrecision(6)), Number(high.toPrecision(6))]);
  if (stored.length) search.set("bounds", JSON.stringify(stored));
  else search.delete("bounds");
  history.replaceState(null, "", `${location.pathname}${search.size ? `?${search}` : ""}`);
}
