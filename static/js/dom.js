// Small helpers of the page: elements without innerHTML, icons, toasts, money as the server writes it.

/**
 * An element with attributes and children; text is always text.
 * @param {string} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node|string)} children
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** @param {string} name @param {string} [extra] */
export function icon(name, extra = "") {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", `st-i ${extra}`.trim());
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `${document.body.dataset.icons}#${name}`);
  svg.append(use);
  return svg;
}

/**
 * A message that floats and goes by itself; one that tells of a failure stays until it is closed.
 * @param {string} text @param {"plain"|"stop"} [kind]
 */
export function toast(text, kind = "plain") {
  const close = el("button", { class: "st-icb", type: "button", "aria-label": "Close" }, icon("x"));
  const box = el("div", { class: `st-toast st-toast-${kind}`, role: kind === "stop" ? "alert" : "status" },
    icon(kind === "stop" ? "alert-circle" : "circle-check"), el("span", { class: "st-grow" }, text), close);
  close.addEventListener("click", () => box.remove());
  document.getElementById("toasts")?.append(box);
  if (kind !== "stop") setTimeout(() => box.remove(), 6000);
}

const MINUS = "\u2212";

/** A decimal string with two decimals and Indian grouping. @param {string|number|null|undefined} value */
export function price(value) {
  if (value === null || value === undefined || value === "" || Number.isNaN(Number(value))) return "–";
  const text = new Intl.NumberFormat("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(Math.abs(Number(value)));
  return Number(value) < 0 ? MINUS + text : text;
}

/** Money with its sign before the rupee sign. @param {string|number|null|undefined} value */
export function rupees(value) {
  const text = price(value);
  if (text === "–") return text;
  return text.startsWith(MINUS) ? `${MINUS}₹${text.slice(1)}` : `₹${text}`;
}

/** @param {number} value */
export function quantity(value) {
  return new Intl.NumberFormat("en-IN").format(value);
}

/** @param {number} milliseconds @param {() => void} action */
export function debounce(milliseconds, action) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, milliseconds);
  };
}

/** @param {EventTarget|null} target @returns {boolean} whether a letter typed there is text */
export function isField(target) {
  return target instanceof Element && Boolean(target.closest("input:not([type=radio]):not([type=checkbox]), textarea, select, [contenteditable]"));
}

/**
 * Loads a server-made fragment in place of `node`. The node is its own source: requests of one source wait for each other.
 * @param {Element} node @param {string} address
 */
export function refresh(node, address) {
  return window.htmx.ajax("GET", address, { source: node, target: node, swap: "outerHTML" });
}
