// Upload of a data set with progress: XMLHttpRequest tells how far it is, fetch does not.
import { refresh } from "./live.js";
import { say } from "./actions.js";
import { csrfHeader } from "./csrf.js";

const form = document.getElementById("upload");
const wrong = document.getElementById("file-wrong");
const progress = document.getElementById("upload-progress");

function showProgress(value, text) {
  progress.hidden = false;
  progress.querySelector("progress").value = value;
  progress.querySelector("p").textContent = text;
}

function problemIn(request) {
  try {
    const problem = JSON.parse(request.responseText);
    return problem.errors?.map((error) => error.message).join("; ") || problem.detail;
  } catch {
    return `The server answered ${request.status}.`;
  }
}

function finish(request) {
  form.querySelector("button").disabled = false;
  progress.hidden = true;
  if (request.status >= 200 && request.status < 300) {
    say(`${JSON.parse(request.responseText).name} is registered.`);
    form.reset();
    refresh(document.getElementById("datasets"));
  } else {
    wrong.textContent = request.status ? problemIn(request) : "The server does not answer; nothing was stored.";
    form.elements.file.setAttribute("aria-invalid", "true");
  }
}

function upload(event) {
  event.preventDefault();
  const file = form.elements.file.files[0];
  wrong.textContent = file ? "" : "Choose a file first.";
  form.elements.file.removeAttribute("aria-invalid");
  if (!file) return;
  const name = form.elements.name.value.trim();
  const query = new URLSearchParams({ filename: file.name, ...(name && { name }) });
  const request = new XMLHttpRequest();
  request.open("POST", `/api/v1/datasets?${query}`);
  request.setRequestHeader("Content-Type", "application/octet-stream");
  for (const [header, value] of Object.entries(csrfHeader())) request.setRequestHeader(header, value);
  request.upload.onprogress = ({ loaded, total }) => showProgress(
    loaded / total, loaded < total ? `${Math.round((100 * loaded) / total)} % sent` : "Sent; now it is checked",
  );
  request.onloadend = () => finish(request);
  form.querySelector("button").disabled = true;
  showProgress(0, "Starting");
  request.send(file);
}

form.addEventListener("submit", upload);
