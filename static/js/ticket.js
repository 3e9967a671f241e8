// The order ticket: docked, beside live prices, working whatever the assistant's switches say. It makes a plan and shows its card.
import { ApiProblem, keyFor, send, settle } from "./api.js";
import { debounce, el, icon, price, quantity, refresh, rupees } from "./dom.js";
import { SymbolSearch } from "./symbols.js";

const ticket = document.getElementById("ticket");
const form = /** @type {HTMLFormElement} */ (document.getElementById("ticket-form"));
/** What the ticket is about besides the fields. */
const state = { symbol: "", name: "", last: null, orderId: "", supersedes: "", asked: 0, variety: "regular", keep: {}, back: null };

/** @param {string} name */
const field = (name) => /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
const side = () => ticket.querySelector("input[name=side]:checked").value;
const value = (name) => form.querySelector(`[name=${name}]:checked`)?.value ?? "";
const part = (name) => ticket.querySelector(`[data-e=${name}]`);

export function ticketIsOpen() {
  return ticket !== null && !ticket.hidden;
}

/**
 * @param {{side?: string, symbol?: string, intent?: Record<string, any>, supersedes?: string, order?: Record<string, string>}} [start]
 */
export function openTicket(start = {}) {
  state.back = document.activeElement;
  Object.assign(state, { orderId: start.order?.id ?? "", supersedes: start.supersedes ?? "", keep: {} });
  showForm();
  ticket.hidden = false;
  const from = start.intent?.kind === "order" ? start.intent : null;
  const source = from ?? start.order;
  setSide(source?.side ?? start.side ?? "BUY");
  if (source) fill(source);
  const symbol = from ? `${from.exchange}:${from.symbol}` : start.order?.symbol ?? start.symbol;
  if (symbol) setSymbol({ symbol, name: "" });
  else if (!state.symbol) document.getElementById("ticket-symbol").focus();
  for (const input of ticket.querySelectorAll("[name=side], [name=product], [name=validity]")) input.disabled = Boolean(state.orderId);
  document.getElementById("ticket-symbol").disabled = Boolean(state.orderId);
  if (state.symbol || symbol) field("quantity").focus();
  field("quantity").select();
  adapt();
}

/** A price as a field holds it: two decimals, more only if it has them. @param {string|null|undefined} text */
function plainPrice(text) {
  if (text === null || text === undefined || text === "") return "";
  return (String(text).split(".")[1] ?? "").length > 2 ? String(text) : Number(text).toFixed(2);
}

/** Puts an intent's or an order's figures into the fields. @param {Record<string, any>} source */
function fill(source) {
  const choose = (name, wanted) => {
    const input = form.querySelector(`[name=${name}][value="${wanted}"]`);
    if (input) input.checked = true;
  };
  choose("product", source.product);
  choose("order_type", source.order_type);
  choose("validity", source.validity);
  field("quantity").value = source.quantity ?? "";
  field("price").value = plainPrice(source.price);
  field("trigger_price").value = plainPrice(source.trigger_price);
  state.keep = source.exits ? { exits: source.exits } : {};
}

export function closeTicket() {
  ticket.hidden = true;
  if (state.back instanceof HTMLElement && state.back.isConnected) state.back.focus();
}

/** @param {string} wanted */
function setSide(wanted) {
  ticket.querySelector(`input[name=side][value=${wanted}]`).checked = true;
  ticket.dataset.side = wanted;
}

/** @param {{symbol: string, name: string}} instrument */
async function setSymbol(instrument) {
  Object.assign(state, { symbol: instrument.symbol, name: instrument.name, last: null });
  document.getElementById("ticket-symbol").value = instrument.symbol.split(":")[1];
  adapt();
  await readLast();
}

async function readLast() {
  const symbol = state.symbol;
  const line = ticket.querySelector("[data-ticket-last]");
  line.textContent = "Reading the last price";
  const answer = await send("GET", `/api/quotes?symbols=${encodeURIComponent(symbol)}`).catch(() => null);
  if (symbol !== state.symbol) return;
  const rows = answer?.results ?? answer?.quotes ?? answer;
  const quote = Array.isArray(rows) ? rows.find((row) => row.symbol === symbol) : rows?.[symbol];
  state.last = quote?.last_price ?? null;
  line.textContent = state.last ? `${rupees(state.last)}${state.name ? ` · ${state.name}` : ""}` : "Last price not read";
  if (state.last && !field("price").value && !field("price").disabled) field("price").value = plainPrice(state.last);
  adapt();
}

/** Shows what the chosen type asks for, and what the button would do. */
function adapt() {
  const type = value("order_type");
  const needs = { price: type === "LIMIT" || type === "SL", trigger_price: type === "SL" || type === "SL-M" };
  for (const [name, needed] of Object.entries(needs)) {
    field(name).disabled = !needed;
    field(name).placeholder = needed ? "" : `not for ${type}`;
    if (!needed) field(name).value = "";
  }
  const [exchange, bare] = state.symbol.split(":");
  ticket.dataset.side = side();
  ticket.querySelector("[data-ticket-title]").textContent = bare ? `${state.orderId ? "Modify " : ""}${bare} ${exchange}` : "Order ticket";
  const count = Number(field("quantity").value.replace(/,/g, ""));
  const button = ticket.querySelector("[data-ticket-submit]");
  const verb = state.orderId ? "Modify" : side();
  button.textContent = bare && count > 0 ? `Review · ${verb} ${quantity(count)} ${bare}` : "Review";
  button.className = `btn ${side() === "SELL" ? "btn-sell" : "btn-primary"}`;
  const near = state.last && needs.price && field("price").value ? (Number(field("price").value) / Number(state.last) - 1) * 100 : null;
  ticket.querySelector("[data-ticket-distance]").textContent = near === null || !Number.isFinite(near) ? "" : near === 0 ? "at the last price" : `${Math.abs(near).toFixed(2)}% ${near > 0 ? "above" : "below"} last`;
}

/** The Intent of the fields; empty fields are null, the server judges. */
function intent() {
  const [exchange, symbol] = state.symbol.split(":");
  const text = (name) => field(name).value.replace(/[,\s]/g, "") || null;
  return {
    kind: "order", side: side(), symbol, exchange, quantity: Number(text("quantity")) || null, order_type: value("order_type"),
    price: text("price"), trigger_price: text("trigger_price"), product: value("product"), validity: value("validity"), variety: "regular", ...state.keep,
  };
}

/** @returns {string} what keeps the ticket from being judged, "" when nothing does */
function lacking() {
  const order = intent();
  if (!state.symbol) return "Choose an instrument.";
  if (!order.quantity || !Number.isInteger(order.quantity) || order.quantity < 1) return "Quantity is a whole number from 1.";
  if (!field("price").disabled && !(Number(order.price) > 0)) return "This type needs a price.";
  if (!field("trigger_price").disabled && !(Number(order.trigger_price) > 0)) return "This type needs a trigger price.";
  return "";
}

const estimate = debounce(280, async () => {
  const asked = ++state.asked;
  if (lacking() || state.orderId || ticket.hidden) return clearEstimate();
  const box = ticket.querySelector("[data-ticket-estimate]");
  box.setAttribute("aria-busy", "true");
  try {
    const answer = await send("POST", "/api/risk/evaluate", { body: { intent: intent() } });
    if (asked === state.asked) showEstimate(answer);
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    if (asked === state.asked) clearEstimate(error.sentence);
  }
  box.setAttribute("aria-busy", "false");
  return undefined;
});

function clearEstimate(text = "RiskGate checks as you type") {
  for (const name of ["value", "charges", "margin"]) part(name).textContent = "–";
  part("available").textContent = "";
  part("verdict").replaceChildren(el("span", { class: "st-mut" }, text));
  ticket.querySelector("[data-ticket-denials]").hidden = true;
}

/** @param {Record<string, any>} answer a Decision, with the plan it judged beside or around it */
function showEstimate(answer) {
  const decision = answer.risk ?? answer.decision ?? answer;
  const estimates = answer.plan?.estimates ?? answer.estimates ?? {};
  part("value").textContent = rupees(estimates.order_value);
  part("charges").textContent = rupees(estimates.charges?.total);
  part("margin").textContent = rupees(estimates.margin_required);
  part("available").textContent = estimates.margin_available ? `of ${rupees(estimates.margin_available)}` : "";
  const denied = decision.outcome === "deny";
  const rules = `${decision.controls.length} rules${decision.warnings.length ? `, ${decision.warnings.length} warning${decision.warnings.length > 1 ? "s" : ""}` : ""}`;
  part("verdict").replaceChildren(icon(denied ? "ban" : "circle-check", denied ? "st-stop" : ""), " ",
    el("b", denied ? { class: "st-stop" } : {}, denied ? "DENY" : "PASS"), " ", el("span", { class: "st-mut" }, rules));
  const list = ticket.querySelector("[data-ticket-denials]");
  const rows = decision.controls.filter((row) => row.verdict === "deny");
  list.replaceChildren(...rows.map((row) => el("li", {}, icon("x"), el("span", {}, el("code", {}, row.code), ` ${row.message}`))));
  list.hidden = rows.length === 0;
}

/** @param {string} text */
function fault(text) {
  const box = document.getElementById("ticket-error");
  box.textContent = text;
  box.hidden = !text;
}

async function submit() {
  const missing = lacking();
  fault(missing);
  if (missing) return;
  const button = ticket.querySelector("[data-ticket-submit]");
  const order = intent();
  const scope = `ticket:${state.orderId}:${JSON.stringify(order)}`;
  button.disabled = true;
  try {
    const card = state.orderId ? await modify(order, scope) : await plan(order, scope);
    settle(scope);
    await showCard(card);
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    fault(error.sentence);
  } finally {
    button.disabled = false;
  }
}

/** @returns {Promise<string>} the card's id */
async function plan(order, scope) {
  const body = state.supersedes ? { intent: order, supersedes: state.supersedes } : { intent: order };
  return (await send("POST", "/api/plans", { body, key: keyFor(scope) })).card_id;
}

/** @returns {Promise<string>} the card's id */
async function modify(order, scope) {
  const body = { quantity: order.quantity, order_type: order.order_type };
  if (order.price) body.price = order.price;
  if (order.trigger_price) body.trigger_price = order.trigger_price;
  return (await send("POST", `/api/orders/${state.orderId}/modify`, { body, key: keyFor(scope) })).id;
}

/** @param {string} id */
async function showCard(id) {
  const box = document.getElementById("ticket-card");
  box.replaceChildren(el("div", { id: "ticket-card-slot" }));
  form.hidden = true;
  box.hidden = false;
  await refresh(box.firstElementChild, `/cards/${id}?at=ticket`);
  const heading = box.querySelector("[data-card-heading]");
  heading?.focus();
}

function showForm() {
  fault("");
  form.hidden = false;
  const box = document.getElementById("ticket-card");
  box.hidden = true;
  box.replaceChildren();
}

export function startTicket() {
  if (!ticket) return;
  new SymbolSearch(document.getElementById("ticket-symbol"), document.getElementById("ticket-options"), (row) => {
    setSymbol(row).then(estimate);
    field("quantity").focus();
  });
  ticket.addEventListener("input", (event) => {
    if (event.target.id === "ticket-symbol") return;
    fault("");
    adapt();
    if (event.target.name === "order_type" && !field("price").disabled && !field("price").value && state.last) field("price").value = plainPrice(state.last);
    estimate();
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); submit(); });
  document.addEventListener("click", (event) => {
    const target = /** @type {Element} */ (event.target);
    const opener = target.closest("[data-ticket-open]");
    if (target.closest("[data-ticket-close]")) closeTicket();
    else if (target.closest("[data-ticket-again]")) openTicket({ side: side() });
    else if (opener) openTicket(opener.dataset.order ? { order: JSON.parse(opener.dataset.order) } : { side: opener.dataset.ticketOpen || "BUY", symbol: opener.dataset.symbol });
  });
}
