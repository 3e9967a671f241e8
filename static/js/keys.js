// The keyboard: single letters outside fields (they can be switched off), g and a letter for places, Ctrl+/ for the assistant.
// No key approves anything.
import { openKeys } from "./dialogs.js";
import { isField } from "./dom.js";
import { togglePanel } from "./panel.js";
import { closeTicket, openTicket, ticketIsOpen } from "./ticket.js";

let waitingForPlace = 0;

function rows() {
  return Array.from(document.querySelectorAll("[data-row]")).filter((row) => row.offsetParent !== null);
}

/** @param {number} step */
function move(step) {
  const all = rows();
  const at = all.indexOf(document.activeElement?.closest("[data-row]"));
  const next = all[Math.max(0, Math.min(all.length - 1, at + step))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

/** @param {"BUY"|"SELL"} side */
function ticketForRow(side) {
  const row = document.activeElement?.closest("[data-row]");
  openTicket({ side, symbol: row?.dataset.symbol });
}

/** @type {Record<string, () => void>} */
const ACTIONS = {
  "?": openKeys,
  b: () => ticketForRow("BUY"),
  s: () => ticketForRow("SELL"),
  j: () => move(1),
  k: () => move(-1),
  "/": () => document.querySelector("[data-search]")?.focus(),
};

/** @param {KeyboardEvent} event */
function onLetter(event) {
  if (document.querySelector("dialog[open]") || document.body.dataset.shortcuts === "off") return;
  if (waitingForPlace > Date.now()) {
    waitingForPlace = 0;
    const place = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
    if (place) window.location.assign(place.getAttribute("href"));
    return;
  }
  if (event.key === "g") {
    waitingForPlace = Date.now() + 1200;
    return;
  }
  const action = ACTIONS[event.key];
  const control = action ? null : document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!action && !control) return;
  event.preventDefault();
  if (action) action();
  else control.click();
}

/** @param {KeyboardEvent} event */
function onKey(event) {
  if (event.ctrlKey && event.key === "/") {
    event.preventDefault();
    togglePanel();
  } else if (event.key === "Escape" && !document.querySelector("dialog[open], [popover]:popover-open")) {
    if (ticketIsOpen()) closeTicket();
    else if (document.activeElement?.closest("#assistant")) document.getElementById("main").focus();
  } else if (event.key === "Enter" && document.activeElement?.matches("[data-row]")) {
    document.activeElement.querySelector("[data-open]")?.click();
  } else if (!event.ctrlKey && !event.metaKey && !event.altKey && event.key.length === 1 && !isField(event.target)) {
    onLetter(event);
  }
}

export function startKeys() {
  document.addEventListener("keydown", onKey);
}
