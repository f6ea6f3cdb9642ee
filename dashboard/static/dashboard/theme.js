// Before the first paint: the remembered scheme, so that a dark page never flashes white.
(function () {
  const root = document.documentElement;
  root.classList.add("js");
  let theme = null;
  try {
    theme = localStorage.getItem("waitdesk:theme");
  } catch {
    // Storage may be forbidden; then the page follows the system.
  }
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;
})();
