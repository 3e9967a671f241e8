// The action card: approve, decline, edit, price again. The server-made fragment is the truth; every press ends by showing it.
import { ApiProblem, keyFor, send } from "./api.js";
import { ask } from "./dialogs.js";
import { refresh, toast } from "./dom.js";
import { openTicket } from "./ticket.js";

/** Refusals after which the card's own state says all there is to say. */
const SETTLED = new Set(["CARD_STALE", "CARD_EXPIRED", "ALREADY_DECIDED", "RISK_DENIED", "IN_PROGRESS"]);

/** Shows the card as it is now; the focus, if it was inside, goes to its heading and never to a button. @param {Element} card */
async function reload(card) {
  const inside = card.contains(document.activeElement) || document.activeElement === document.body;
  const id = card.id;
  const at = card.dataset.at || "panel";
  const place = card.parentElement;
  await refresh(card, `/cards/${card.dataset.card}?at=${at}`);
  if (inside) place?.querySelector(`#${CSS.escape(id)} [data-card-heading]`)?.focus({ preventScroll: true });
}

/** @param {HTMLElement} card @param {boolean} busy */
function setBusy(card, busy) {
  for (const button of card.querySelectorAll("[data-card-acts] button")) button.disabled = busy;
  card.setAttribute("aria-busy", String(busy));
}

/** @param {HTMLElement} card @param {string} text */
function say(card, text) {
  const box = card.querySelector("[data-card-error]");
  if (!box) return;
  box.textContent = text;
  box.hidden = !text;
}

/**
 * One key for one card and content: a second press, another tab, a retry after a lost answer all ask for the same thing.
 * A refusal that can change (a switch was off) is an answer: the next press is a new attempt with a key of its own.
 * @param {HTMLElement} card
 */
function approvalKey({ card, hash }) {
  return `approve-${card}-${hash.slice(0, 24)}-${sessionStorage.getItem(`st-attempt:${card}`) ?? "1"}`;
}

/** @param {HTMLElement} card */
async function approve(card) {
  const { card: id, hash } = card.dataset;
  setBusy(card, true);
  say(card, "");
  try {
    await send("POST", `/api/ai/cards/${id}/approve`, { body: { content_hash: hash }, key: approvalKey(card.dataset) });
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    if (!SETTLED.has(error.code)) {
      if (error.status >= 400 && error.status < 500) sessionStorage.setItem(`st-attempt:${id}`, String(Number(sessionStorage.getItem(`st-attempt:${id}`) ?? 1) + 1));
      setBusy(card, false);
      say(card, error.sentence);
      return;
    }
    if (error.code !== "IN_PROGRESS") toast(error.sentence, "stop");
  }
  await reload(card);
  document.dispatchEvent(new CustomEvent("st:orders-changed"));
}

/** @param {HTMLElement} card */
async function decline(card) {
  const reason = await ask({ title: "Decline this card", text: "Nothing is sent. The reason goes into the trace.", label: "Reason, if you like", yes: "Decline" });
  if (reason === null) return;
  setBusy(card, true);
  try {
    await send("POST", `/api/ai/cards/${card.dataset.card}/decline`, { body: { reason }, key: keyFor(`decline:${card.dataset.card}:${reason}`) });
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    if (!SETTLED.has(error.code)) toast(error.sentence, "stop");
  }
  await reload(card);
}

/**
 * A new card in place of this one: the stored intent, with what a button changes.
 * @param {HTMLElement} card @param {Record<string, unknown>} changes
 */
async function replace(card, changes) {
  const intent = { ...JSON.parse(card.dataset.intent), ...changes };
  if (changes.quantity) delete intent.quantity_rule;
  const scope = `replace:${card.dataset.card}:${JSON.stringify(changes)}`;
  setBusy(card, true);
  try {
    const plan = await send("POST", "/api/plans", { body: { intent, supersedes: card.dataset.card }, key: keyFor(scope) });
    await refresh(card, `/cards/${plan.card_id}?at=${card.dataset.at || "panel"}`);
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    setBusy(card, false);
    say(card, error.sentence);
  }
}

/** @param {HTMLElement} card @param {HTMLInputElement} input */
function checkTyped(card, input) {
  const right = input.value.replace(/[,\s]/g, "") === input.dataset.typeQuantity;
  const button = card.querySelector("[data-card-approve]");
  button.setAttribute("aria-disabled", String(!right));
}

/** @param {Event} event */
function onClick(event) {
  const target = /** @type {Element} */ (event.target);
  const card = /** @type {HTMLElement|null} */ (target.closest("[data-card]"));
  if (!card) return;
  const button = target.closest("[data-card-approve]");
  if (button && button.getAttribute("aria-disabled") === "true") {
    card.querySelector("[data-type-quantity]")?.focus();
  } else if (button) {
    approve(card);
  } else if (target.closest("[data-card-decline]")) {
    decline(card);
  } else if (target.closest("[data-card-edit]")) {
    openTicket({ intent: JSON.parse(card.dataset.intent), supersedes: card.dataset.card });
  } else if (target.closest("[data-card-replace]")) {
    replace(card, JSON.parse(target.closest("[data-card-replace]").dataset.cardReplace || "{}"));
  }
}

export function startCards() {
  document.addEventListener("click", onClick);
  document.addEventListener("input", (event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    if ("typeQuantity" in input.dataset) checkTyped(input.closest("[data-card]"), input);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target instanceof HTMLInputElement && "typeQuantity" in event.target.dataset) event.preventDefault();
  });
  document.addEventListener("st:card-over", (event) => reload(/** @type {Element} */ (event.target)));
}
