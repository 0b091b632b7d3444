// Trials that are ticked in the table of the front: they stand in the address and survive its refreshes.
const MOST = 4;
const ticked = new Set(new URLSearchParams(location.search).getAll("t"));

export function showTicks() {
  for (const box of document.querySelectorAll("#front [name=t]")) box.checked = ticked.has(box.value);
  const link = document.getElementById("compare");
  if (!link) return;
  link.href = `/compare?${new URLSearchParams([...ticked].map((trial) => ["t", trial]))}`;
  link.textContent = ticked.size ? `Compare ${ticked.size}` : "Compare";
  link.toggleAttribute("data-disabled", ticked.size < 2);
  link.setAttribute("aria-disabled", String(ticked.size < 2));
}

document.addEventListener("change", ({ target }) => {
  if (target.name !== "t") return;
  if (target.checked) ticked.add(target.value);
  else ticked.delete(target.value);
  // The oldest choice makes room.
  if (ticked.size > MOST) ticked.delete([...ticked][0]);
  const search = new URLSearchParams(location.search);
  search.delete("t");
  for (const trial of ticked) search.append("t", trial);
  history.replaceState(null, "", `${location.pathname}?${search}`);
  showTicks();
});
document.addEventListener("click", (event) => {
  if (event.target.closest("#compare[data-disabled]")) event.preventDefault();
});
