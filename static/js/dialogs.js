// The page's dialogs: a small question, the list of keys, the notice of a session that ended. No live price is behind them for long.
import { csrfToken } from "./api.js";

/**
 * Asks for one line. @returns {Promise<string|null>} what was typed ("" if nothing), null when the person went back
 * @param {{title: string, text: string, label: string, yes: string, type?: string, required?: boolean}} question
 */
export function ask({ title, text, label, yes, type = "text", required = false }) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("ask-dialog"));
  const input = /** @type {HTMLInputElement} */ (dialog.querySelector("#ask-value"));
  dialog.querySelector("[data-ask-title]").textContent = title;
  dialog.querySelector("[data-ask-text]").textContent = text;
  dialog.querySelector("[data-ask-label]").textContent = label;
  dialog.querySelector("[data-ask-yes]").textContent = yes;
  input.type = type;
  input.required = required;
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    const done = () => resolve(dialog.returnValue === "yes" ? input.value : null);
    dialog.addEventListener("close", done, { once: true });
    dialog.querySelector("[data-ask-form]").addEventListener("submit", (event) => {
      event.preventDefault();
      dialog.close("yes");
    }, { once: true });
  });
}

export function startDialogs() {
  document.addEventListener("click", (event) => {
    const target = /** @type {Element} */ (event.target);
    if (target.closest("dialog [data-close]")) target.closest("dialog").close();
    if (target.closest("[data-shortcuts-open]")) openKeys();
    const theme = target.closest("[data-theme-set]");
    if (theme) setTheme(theme.dataset.themeSet);
  });
  document.addEventListener("st:signed-out", () => {
    const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("login-dialog"));
    if (!dialog.open && !dialog.dataset.seen) dialog.showModal();
    dialog.dataset.seen = "yes";
  });
  document.addEventListener("htmx:responseError", (event) => {
    if ([401, 403].includes(event.detail.xhr.status)) document.dispatchEvent(new CustomEvent("st:signed-out"));
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (!/\/sign-in(\/|\?|$)/.test(new URL(event.detail.xhr.responseURL || window.location.href).pathname)) return;
    event.detail.shouldSwap = false;
    document.dispatchEvent(new CustomEvent("st:signed-out"));
  });
  document.addEventListener("htmx:configRequest", (event) => { event.detail.headers["X-CSRFToken"] = csrfToken(); });
  markTheme();
}

export function openKeys() {
  document.getElementById("keys-dialog").showModal();
}

/** @param {string} theme light, dark or auto */
function setTheme(theme) {
  if (theme === "auto") {
    document.cookie = "st-theme=; path=/; max-age=0; samesite=lax";
    document.documentElement.dataset.bsTheme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  } else {
    document.cookie = `st-theme=${theme}; path=/; max-age=31536000; samesite=lax`;
    document.documentElement.dataset.bsTheme = theme;
  }
  markTheme();
}

function markTheme() {
  const chosen = /(?:^|; )st-theme=(light|dark)/.exec(document.cookie)?.[1] ?? "auto";
  for (const button of document.querySelectorAll("[data-theme-set]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeSet === chosen));
  }
}
