// Buttons that change something: asked first where something is lost, and errors said in words.
import { csrfHeader } from "./csrf.js";

const PAST = { pause: "Paused", resume: "Resumed", drain: "Draining", cancel: "Cancelled", delete: "Deleted" };

export async function askAndAct(button) {
  if (button.dataset.ask && !(await confirmed(button))) return;
  button.disabled = true;
  const { study, action } = button.dataset;
  // Any other request is said in full: data-request="DELETE /api/v1/...", with data-then where to go afterwards.
  const [method, address] = button.dataset.request?.split(" ")
    ?? (action === "delete" ? ["DELETE", `/api/v1/studies/${study}`] : ["POST", `/api/v1/studies/${study}:${action}`]);
  const then = button.dataset.then ?? (action === "delete" ? "/studies" : null);
  try {
    const answer = await fetch(address, { method, headers: csrfHeader() });
    if (answer.ok) {
      say(button.dataset.done ?? `${PAST[action] ?? "Done"}.`);
      if (then) location.assign(then);
    } else {
      say((await problemOf(answer)).detail);
    }
  } catch {
    say("The server does not answer; nothing was changed.");
  } finally {
    button.disabled = false;
  }
}

// The problem document of a failed answer; something readable even where there is none.
export async function problemOf(answer) {
  try {
    const problem = await answer.json();
    return { detail: problem.detail ?? problem.title ?? answer.statusText, errors: problem.errors ?? [] };
  } catch {
    return { detail: `The server answered ${answer.status} ${answer.statusText}.`, errors: [] };
  }
}

// Words for screen readers, and in the page's corner for eyes.
export function say(text) {
  const status = document.getElementById("said");
  status.textContent = text;
  status.hidden = false;
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { status.hidden = true; }, 6000);
}

function confirmed(button) {
  const dialog = document.getElementById("confirm");
  dialog.querySelector("h2").textContent = `${button.textContent.trim()}${button.dataset.action ? " this study" : ""}?`;
  dialog.querySelector("p").textContent = button.dataset.ask;
  dialog.querySelector("[value=yes]").textContent = button.textContent.trim();
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
