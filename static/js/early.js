// Runs before the first paint: the theme when none was chosen, and whether the assistant stands open.
(() => {
  const root = document.documentElement;
  if (!root.dataset.bsTheme) {
    const dark = window.matchMedia("(prefers-color-scheme: dark)");
    const follow = () => { root.dataset.bsTheme = dark.matches ? "dark" : "light"; };
    follow();
    dark.addEventListener("change", follow);
  }
  if (root.dataset.panel === "auto") root.dataset.panel = window.innerWidth >= 1200 ? "open" : "closed";
  if (window.innerWidth < 1024) root.dataset.panel = "closed";
})();
