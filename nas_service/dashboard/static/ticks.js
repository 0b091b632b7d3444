// Trials that are ticked in the table of the front: they stand in the address and survive its refreshes.
import { followTicks, ticked, tickedQuery } from "./ticked.js";

const MOST = 4;

export function showTicks() {
  for (const box of document.querySelectorAll("#front [name=t]")) box.checked = ticked.has(box.value);
  const link = document.getElementById("compare");
  if (!link) return;
  link.href = `/compare?${tickedQuery()}`;
  link.textContent = ticked.size ? `Compare ${ticked.size}` : "Compare";
  link.toggleAttribute("data-disabled", ticked.size < 2);
  link.setAttribute("aria-disabled", String(ticked.size < 2));
}

followTicks(MOST, showTicks);
document.addEventListener("click", (event) => {
  if (event.target.closest("#compare[data-disabled]")) event.preventDefault();
});
