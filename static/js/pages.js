// What single pages do beyond links: refresh, cancel, reconcile, exceptions, flags, sorting, copying. Each ends by reading the page's truth again.
import { ApiProblem, keyFor, randomKey, send, settle } from "./api.js";
import { serverNow } from "./age.js";
import { ask } from "./dialogs.js";
import { el, icon, toast } from "./dom.js";

/** Asks the page's live parts to read themselves again. */
function refreshPage() {
  document.body.dispatchEvent(new CustomEvent("st:refresh"));
}

/** @param {HTMLButtonElement} button @param {() => Promise<unknown>} work */
async function during(button, work) {
  button.disabled = true;
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    toast(error.sentence, "stop");
  } finally {
    button.disabled = false;
    refreshPage();
  }
}

/** @param {HTMLButtonElement} button */
async function refreshBooks(button) {
  const path = `/api/broker/connections/${button.dataset.refreshBooks}/snapshot`;
  await during(button, () => send("POST", path, { body: {}, key: randomKey() }));
}

/** One press, one cancel: the key belongs to the order, so that a second press asks for the same. @param {HTMLButtonElement} button */
async function cancelOrder(button) {
  const id = button.dataset.orderCancel;
  const scope = `cancel:${id}`;
  await during(button, async () => {
    try {
      await send("POST", `/api/orders/${id}/cancel`, { body: {}, key: keyFor(scope) });
      toast("Cancel sent. The order's row tells what became of it.");
    } catch (error) {
      if (error instanceof ApiProblem && error.status >= 400 && error.status < 500) settle(scope);
      throw error;
    }
  });
}

function picked() {
  const boxes = Array.from(document.querySelectorAll("[data-pick]:checked"), (box) => box.value);
  const row = document.activeElement?.closest("[data-exception]");
  return boxes.length ? boxes : row ? [row.dataset.exception] : [];
}

/** @param {HTMLButtonElement} button */
async function actOnExceptions(button) {
  const ids = picked();
  const action = button.dataset.exceptionsAct;
  if (!ids.length) return toast("Select a row first, with its box or with x.");
  let note = "";
  if (action === "resolve") {
    const typed = await ask({ title: `Resolve ${ids.length}`, text: "It opens again by itself if the difference returns.", label: "Note", yes: "Resolve", required: true });
    if (typed === null) return undefined;
    note = typed;
  }
  const until = action === "snooze" ? await chooseUntil(ids.length) : "";
  if (until === null) return undefined;
  const body = until ? { note, until } : { note };
  return during(button, async () => {
    for (const id of ids) await send("POST", `/api/exceptions/${id}/${action}`, { body, key: randomKey() });
  });
}

/** @param {number} count @returns {Promise<string|null>} until when, as an ISO time */
function chooseUntil(count) {
  const dialog = /** @type {HTMLDialogElement} */ (document.getElementById("snooze-dialog"));
  dialog.querySelector("[data-snooze-title]").textContent = `Snooze ${count}`;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(untilOf(dialog.returnValue)), { once: true });
  });
}

/** @param {string} choice hours from now, or HH:MM of the next trading morning in IST @returns {string|null} */
function untilOf(choice) {
  if (!choice) return null;
  if (!choice.includes(":")) return new Date(serverNow() + Number(choice) * 3600000).toISOString();
  const IST_MS = 5.5 * 3600000;
  const [hours, minutes] = choice.split(":").map(Number);
  const local = new Date(serverNow() + IST_MS);
  const day = new Date(Date.UTC(local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate() + 1, hours, minutes));
  while ([0, 6].includes(day.getUTCDay())) day.setUTCDate(day.getUTCDate() + 1);
  return new Date(day.getTime() - IST_MS).toISOString();
}

/** The first look at a new account needs no press. */
function readFirst() {
  const box = document.querySelector("[data-read-first]");
  if (!box) return;
  send("POST", `/api/broker/connections/${box.dataset.readFirst}/snapshot`, { body: {}, key: randomKey() })
    .then(refreshPage, (error) => toast(error.sentence ?? "The books could not be read.", "stop"));
}

/** @param {HTMLInputElement} input */
async function setFlag(input) {
  const box = document.getElementById(`${input.dataset.flag}-error`);
  box.hidden = true;
  try {
    const body = { feature_flags: { [input.dataset.flag]: input.checked }, version: Number(input.dataset.version) };
    const answer = await send("PUT", "/api/settings/ai", { body });
    for (const other of document.querySelectorAll("[data-flag]")) other.dataset.version = answer.version;
    toast(`${input.checked ? "On" : "Off"}: saved, and written to the audit record.`);
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    input.checked = !input.checked;
    const rows = error.errors.length ? error.errors.map((fault) => fault.message) : [error.message];
    box.replaceChildren(...rows.map((text) => el("li", {}, icon("x", "st-i-s"), ` ${text}`)));
    box.hidden = false;
  }
}

/** Sorts a table by the head that was pressed; figures by their plain value. @param {HTMLButtonElement} button */
function sortBy(button) {
  const head = button.closest("th");
  const table = head.closest("table");
  const column = Array.from(head.parentElement.children).indexOf(head);
  const down = head.getAttribute("aria-sort") !== "descending";
  for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = (row) => row.children[column].dataset.v ?? row.children[column].textContent;
  const rows = Array.from(table.tBodies[0].rows).sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    const order = Number.isNaN(Number(x)) || Number.isNaN(Number(y)) ? String(x).localeCompare(String(y)) : Number(x) - Number(y);
    return down ? -order : order;
  });
  table.tBodies[0].append(...rows);
}

function nextFailure() {
  const all = Array.from(document.querySelectorAll("[data-failed] > details"));
  const at = all.findIndex((node) => node.open);
  const next = all[(at + 1) % all.length];
  next.open = true;
  next.querySelector("summary").focus();
  next.scrollIntoView({ block: "center" });
}

/** @param {HTMLElement} box */
async function readRaw(box) {
  if (box.dataset.read) return box.textContent;
  const answer = await send("GET", box.dataset.src);
  box.textContent = JSON.stringify(answer, null, 2);
  box.dataset.read = "yes";
  return box.textContent;
}

/** @type {Array<[string, (button: any) => unknown]>} */
const CLICKS = [
  ["[data-refresh-books]", refreshBooks],
  ["[data-order-cancel]", cancelOrder],
  ["[data-exceptions-act]", actOnExceptions],
  ["[data-reconcile]", (button) => during(button, async () => { await send("POST", "/api/reconcile", { body: {}, key: randomKey() }); window.location.reload(); })],
  ["[data-remedy]", (button) => during(button, () => send("POST", `/api/exceptions/${button.dataset.exceptionId}/remediate`, { body: { action: button.dataset.remedy }, key: randomKey() }))],
  ["[data-next-failure]", nextFailure],
  ["[data-sortable] th button", sortBy],
  ["[data-copy]", async (button) => { await navigator.clipboard.writeText(await readRaw(document.querySelector(button.dataset.copy))); toast("Copied."); }],
];

function onPick() {
  const count = document.querySelector("[data-picked-count]");
  if (count) count.textContent = `${document.querySelectorAll("[data-pick]:checked").length} selected`;
}

export function startPages() {
  document.addEventListener("click", (event) => {
    for (const [selector, action] of CLICKS) {
      const found = /** @type {Element} */ (event.target).closest(selector);
      if (found && found.getAttribute("aria-disabled") !== "true") action(found);
    }
  });
  document.addEventListener("change", (event) => {
    const input = /** @type {HTMLInputElement} */ (event.target);
    if (input.dataset.flag) setFlag(input);
    if ("pick" in input.dataset) onPick();
  });
  document.addEventListener("keydown", (event) => {
    const row = document.activeElement?.closest("[data-exception]");
    if (event.key === "x" && row && document.body.dataset.shortcuts === "on") row.querySelector("[data-pick]").click();
  });
  document.querySelector(".st-raw")?.addEventListener("toggle", (event) => {
    if (event.target.open) readRaw(event.target.querySelector("pre"));
  });
  document.addEventListener("st:orders-changed", refreshPage);
  readFirst();
}
