// Relative times, in the same words as the server's.
const UNITS = [[60, 1, "s"], [3600, 60, "min"], [172_800, 3600, "h"], [Infinity, 86_400, "d"]];

export function agoText(seconds) {
  if (seconds < 5) return "just now";
  const [, size, unit] = UNITS.find(([limit]) => seconds < limit);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

export function tickTimes(root = document) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = agoText((Date.now() - Date.parse(time.dateTime)) / 1000);
  }
}
