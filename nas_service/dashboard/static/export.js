// The export of a trial: asks for it, then lets the list of exports follow.
import { problemOf, say } from "./actions.js";
import { csrfHeader } from "./csrf.js";
import { refresh } from "./live.js";

const form = document.getElementById("export-form"), list = document.getElementById("exports");
const wrong = document.getElementById("export-wrong");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = new FormData(form), button = form.querySelector("[type=submit]");
  wrong.textContent = "";
  button.disabled = true;
  try {
    const answer = await fetch(`/api/v1/trials/${form.dataset.trial}:export`, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...csrfHeader() },
      body: JSON.stringify({
        formats: fields.getAll("formats"),
        target: fields.get("target"),
        qat_epochs: Number(fields.get("qat_epochs")),
        with_preprocessing: fields.has("with_preprocessing"),
        job: fields.get("job") ? Number(fields.get("job")) : null,
      }),
    });
    if (answer.ok) say("A worker will write the files.");
    else wrong.textContent = (await problemOf(answer)).detail;
  } catch {
    wrong.textContent = "The server does not answer; nothing was asked for.";
  } finally {
    button.disabled = false;
  }
  await refresh(list);
});

refresh(list);
