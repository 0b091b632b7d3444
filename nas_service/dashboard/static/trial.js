// The trial page: its curve grows while it trains; what is costly to look up or to draw comes after the page.
import { refresh } from "./live.js";
import { startPlots } from "./plots.js";

startPlots();
for (const part of document.querySelectorAll("[data-lazy]")) refresh(part);
