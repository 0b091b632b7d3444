// Runs before the first paint, so that a remembered theme never flashes.
(() => {
  let stored = null;
  try { stored = localStorage.getItem("nas-theme"); } catch { /* storage may be switched off */ }
  if (stored === "light" || stored === "dark") document.documentElement.dataset.theme = stored;
})();
