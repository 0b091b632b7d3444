// The table of trials: which are ticked survives pages, filters and refreshes, and stands in the address.
import { followTicks, ticked, tickedQuery } from "./ticked.js";

const MOST = 12, MOST_COMPARED = 4;
const compare = document.getElementById("compare");
const curves = document.getElementById("curves");

function show() {
  for (const box of document.querySelectorAll("#trials [name=t]")) box.checked = ticked.has(box.value);
  const query = tickedQuery();
  for (const link of [compare, curves]) link.href = `${link.href.split("?")[0]}?${query}`;
  const isComparable = ticked.size >= 2 && ticked.size <= MOST_COMPARED;
  compare.toggleAttribute("data-disabled", !isComparable);
  curves.toggleAttribute("data-disabled", ticked.size < 1);
  for (const link of [compare, curves]) link.setAttribute("aria-disabled", link.hasAttribute("data-disabled"));
  compare.textContent = ticked.size ? `Compare ${ticked.size}` : "Compare";
  document.getElementById("compare-note").textContent =
    isComparable ? `${ticked.size} trials are ticked.` : `${ticked.size} ticked. Tick two to four trials to compare them.`;
}

followTicks(MOST, show);
for (const link of [compare, curves]) {
  link.addEventListener("click", (event) => { if (link.hasAttribute("data-disabled")) event.preventDefault(); });
}
document.addEventListener("nas:replaced", show);
show();
