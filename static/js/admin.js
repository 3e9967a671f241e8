// The admin follows the theme chosen on the product's pages, before the first paint.
(() => {
  const chosen = /(?:^|; )st-theme=(light|dark)/.exec(document.cookie)?.[1];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const show = () => {
    const theme = chosen ?? (dark.matches ? "dark" : "light");
    document.documentElement.dataset.bsTheme = theme;
    document.documentElement.dataset.theme = theme;
  };
  show();
  dark.addEventListener("change", show);
})();
