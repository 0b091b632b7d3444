// The curves page: its plot grows while trials train.
import { startPlots } from "./plots.js";

document.getElementById("field").addEventListener("change", ({ target }) => target.form.requestSubmit());
startPlots();
