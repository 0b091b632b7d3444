// Buttons that change a study: asked first where something is lost, and errors said in words.
import { csrfHeader } from "./csrf.js";

const PAST = { pause: "Paused", resume: "Resumed", drain: "Draining", cancel: "Cancelled", delete: "Deleted" };

export async function askAndAct(button) {
  if (button.dataset.ask && !(await confirmed(button))) return;
  button.disabled = true;
  const { study, action } = button.dataset;
  try {
    const answer = action === "delete"
      ? await fetch(`/api/v1/studies/${study}`, { method: "DELETE", headers: csrfHeader() })
      : await fetch(`/api/v1/studies/${study}:${action}`, { method: "POST", headers: csrfHeader() });
    if (answer.ok) {
      say(`${PAST[action]}.`);
      if (action === "delete") location.assign("/studies");
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
  dialog.querySelector("h2").textContent = `${button.textContent.trim()} this study?`;
  dialog.querySelector("p").textContent = button.dataset.ask;
  dialog.querySelector("[value=yes]").textContent = button.textContent.trim();
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
