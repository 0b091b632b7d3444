// Which trials are ticked: they stand in the address, so they survive pages, filters and refreshes.
export const ticked = new Set(new URLSearchParams(location.search).getAll("t"));

export const tickedQuery = () => new URLSearchParams([...ticked].map((trial) => ["t", trial]));

// Follows the boxes named "t", `most` at once, and calls `show` after each change.
export function followTicks(most, show) {
  document.addEventListener("change", ({ target }) => {
    if (target.name !== "t") return;
    if (target.checked) ticked.add(target.value);
    else ticked.delete(target.value);
    // The oldest choice makes room.
    if (ticked.size > most) ticked.delete([...ticked][0]);
    const search = new URLSearchParams(location.search);
    search.delete("t");
    for (const trial of ticked) search.append("t", trial);
    history.replaceState(null, "", `${location.pathname}?${search}`);
    show();
  });
}
