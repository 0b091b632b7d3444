// Makes tokens; the new one is shown once and stands in no other answer.
import { problemOf, say } from "./actions.js";
import { csrfHeader } from "./csrf.js";
import { refresh } from "./live.js";

const form = document.getElementById("make-token");
const wrong = document.getElementById("token-wrong");
const list = document.getElementById("tokens");
const place = document.getElementById("new-token");

async function make(event) {
  event.preventDefault();
  const { name, role, expires_days: days } = form.elements, button = form.querySelector("button");
  const wanted = { name: name.value.trim(), role: role.value, ...(days.value && { expires_days: Number(days.value) }) };
  wrong.textContent = "";
  name.removeAttribute("aria-invalid");
  button.disabled = true;
  try {
    const answer = await fetch("/api/v1/tokens", {
      method: "POST", body: JSON.stringify(wanted), headers: { "Content-Type": "application/json", ...csrfHeader() },
    });
    if (answer.ok) show(await answer.json());
    else tell(await problemOf(answer));
  } catch {
    wrong.textContent = "The server does not answer; no token was made.";
  }
  button.disabled = false;
}

function show(made) {
  document.getElementById("new-token-value").textContent = made.token;
  place.hidden = false;
  form.reset();
  say(`The token ${made.name} is made; copy it now.`);
  refresh(list);
}

function tell({ detail, errors }) {
  wrong.textContent = errors.map(({ pointer, message, allowed }) =>
    `${(pointer ?? "").slice(1)} ${message}${allowed ? ` (allowed: ${allowed})` : ""}`.trim()).join("; ") || detail;
  form.elements.name.setAttribute("aria-invalid", "true");
  form.elements.name.focus();
}

form.addEventListener("submit", make);
refresh(list);
