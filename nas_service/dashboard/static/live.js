// Keeps parts of the page up to date when something happens: elements with data-live="/address" are fetched
// again, those with a nasRefresh function of their own (plots) are asked to call it.
import { follow } from "./follow.js";
import { tickTimes } from "./times.js";

const WORDS = { connecting: "Connecting", live: "Live", away: "Server away" };
const PAUSE_MS = 700;
const POLL_MS = 15_000;

export function startLive() {
  if (window.SharedWorker) {
    const worker = new SharedWorker("/static/stream.js", { type: "module", name: "nas-events" });
    worker.port.onmessage = ({ data }) => receive(data);
    worker.port.start();
    addEventListener("pagehide", (event) => { if (!event.persisted) worker.port.postMessage("leave"); });
  } else {
    follow(receive);
  }
  // Streams can be cut by what stands between; a look from time to time always suffices.
  setInterval(() => { if (!document.hidden) refreshAll(); }, POLL_MS);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshAll(); });
}

function receive(message) {
  if (message.kind === "connection") {
    showConnection(message.state);
    if (message.isBack) refreshAll();
    return;
  }
  const study = Number(document.body.dataset.study);
  const isOurs = !study || message.studies.includes(study) || message.kinds.some((kind) => kind.startsWith("worker."));
  if (isOurs && !document.hidden) refreshAll();
}

function showConnection(state) {
  const live = document.getElementById("live");
  if (live.dataset.state === state) return;
  live.dataset.state = state;
  live.querySelector("[data-words]").textContent = WORDS[state];
  document.getElementById("away").hidden = state !== "away";
}

let timer = null, lastRun = 0, isRunning = false, isWanted = false;

// Many events make one refresh: at once after a quiet time, else after a pause.
export function refreshAll() {
  // What happens during a refresh may be missing from it.
  if (isRunning) isWanted = true;
  else timer ??= setTimeout(run, Math.max(0, lastRun + PAUSE_MS - Date.now()));
}

async function run() {
  isRunning = true;
  try {
    // One after the other, from the top: what the first answer makes the server work out, the next ones share.
    for (const part of document.querySelectorAll("[data-live], [data-figure]")) {
      await (part.nasRefresh ?? refresh)(part);
    }
  } finally {
    timer = null;
    lastRun = Date.now();
    isRunning = false;
    if (isWanted) refreshAll();
    isWanted = false;
  }
}

export async function refresh(element) {
  const address = element.dataset.live;
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    // A redirect leads to the login page: show it as a page, not as a part of one.
    if (answer.redirected) return location.reload();
    if (!answer.ok) return;
    const html = await answer.text();
    if (address === element.dataset.live && html !== element.nasHtml) replace(element, html);
  } catch {
    showConnection("away");
  }
}

function replace(element, html) {
  element.nasHtml = html;
  const focused = element.contains(document.activeElement) ? document.activeElement.id : "";
  const { scrollLeft = 0, scrollTop = 0 } = element.querySelector(".scroll") ?? {};
  element.innerHTML = html;
  const region = element.querySelector(".scroll");
  if (region) Object.assign(region, { scrollLeft, scrollTop });
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  tickTimes(element);
  element.dispatchEvent(new CustomEvent("nas:replaced", { bubbles: true }));
}
