// Settings → AI → Kite MCP: the form with its unsaved changes, the buttons, and what each of them found.
import { ApiProblem, randomKey, send } from "./api.js";
import { showTools } from "./console.js";
import { el, icon, refresh, toast } from "./dom.js";

const WORDS = { server_url: "address", transport: "transport", broker_adapter: "broker" };
const STATE_WORDS = { ok: "holds", failed: "failed", waiting: "not reached" };
const ICONS = { ok: "check", failed: "x" };

/** @returns {HTMLFormElement|null} */
function formOf() {
  return /** @type {HTMLFormElement|null} */ (document.querySelector("[data-kite-form]"));
}

/** The fields that differ from what is stored. @returns {Record<string, string>} */
function changes() {
  const form = formOf();
  /** @type {Record<string, string>} */
  const found = {};
  for (const field of form?.querySelectorAll("[data-saved]") ?? []) {
    const value = field.value.trim();
    if (value !== field.dataset.saved) found[field.name] = value;
  }
  return found;
}

function markUnsaved() {
  const names = Object.keys(changes());
  const said = document.querySelector("[data-unsaved]");
  if (!said) return;
  said.hidden = names.length === 0;
  said.querySelector("[data-unsaved-text]").textContent = `${names.length} unsaved change${names.length === 1 ? "" : "s"}: ${names.map((name) => WORDS[name]).join(", ")}`;
  for (const button of document.querySelectorAll("[data-kite-save], [data-kite-discard]")) button.disabled = names.length === 0;
}

/** @param {string} field @param {string} text */
function fault(field, text) {
  const input = formOf()?.elements.namedItem(field);
  const box = document.getElementById(`kite-${field}-error`);
  if (!input || !box) return false;
  input.setAttribute("aria-invalid", String(Boolean(text)));
  box.textContent = text;
  box.hidden = !text;
  return true;
}

function clearFaults() {
  for (const name of Object.keys(WORDS)) fault(name, "");
}

/** Errors beside their fields; what belongs to none is told as a toast. @param {ApiProblem} problem */
function showFaults(problem) {
  const placed = problem.errors.filter((row) => fault(row.field.replace(/^kite_mcp\./, ""), row.message));
  if (!placed.length) toast(problem.sentence, "stop");
  else formOf().querySelector("[aria-invalid=true]")?.focus();
}

async function save() {
  const form = formOf();
  const wanted = changes();
  clearFaults();
  try {
    const body = { kite_mcp: { ...wanted, version: Number(form.dataset.version) } };
    const answer = await send("PUT", "/api/settings/ai", { body });
    sessionStorage.setItem("st-toast", `Saved: ${Object.keys(wanted).map((name) => told(name, form, wanted[name])).join(", ")}.`);
    form.dataset.version = answer.kite_mcp.version;
    for (const field of form.querySelectorAll("[data-saved]")) field.dataset.saved = field.value.trim();
    window.location.reload();
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    showFaults(error);
  }
}

/** @param {string} name @param {HTMLFormElement} form @param {string} value */
function told(name, form, value) {
  const field = form.elements.namedItem(name);
  return `${WORDS[name]} ${field.dataset.saved || "none"} → ${value || "the default"}`;
}

function discard() {
  for (const field of formOf().querySelectorAll("[data-saved]")) field.value = field.dataset.saved;
  clearFaults();
  markUnsaved();
}

/** @param {HTMLButtonElement} button @param {() => Promise<unknown>} work */
async function during(button, work) {
  button.disabled = true;
  result(el("p", { class: "st-row st-mut" }, icon("refresh", "st-spin"), `${button.textContent.trim()}…`));
  try {
    await work();
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    result(note("stop", error.sentence));
    showFaultsQuietly(error);
  } finally {
    button.disabled = false;
    readAgain();
  }
}

/** @param {ApiProblem} problem */
function showFaultsQuietly(problem) {
  for (const row of problem.errors) fault(row.field.replace(/^kite_mcp\./, ""), row.message);
}

/** @param {...Node} nodes */
function result(...nodes) {
  document.getElementById("kite-result")?.replaceChildren(...nodes);
}

/** @param {"stop"|"plain"} kind @param {...(string|Node)} words */
function note(kind, ...words) {
  return el("div", { class: `st-note st-note-${kind}`, role: kind === "stop" ? "alert" : "status" },
    icon(kind === "stop" ? "alert-circle" : "circle-check", "st-i-s"), el("span", {}, ...words));
}

function readAgain() {
  const address = window.location.pathname + window.location.search;
  for (const part of ["status", "audit"]) {
    const node = document.querySelector(`[data-part="${part}"]`);
    if (node) refresh(node, `${address}${address.includes("?") ? "&" : "?"}part=${part}`);
  }
}

/** Tries the address as typed; the stored one, through the session in use. @param {HTMLButtonElement} button */
function test(button) {
  clearFaults();
  const typed = changes();
  const body = {};
  if (typed.server_url) body.server_url = typed.server_url;
  if (typed.transport) body.transport = typed.transport;
  if (typed.transport && !body.server_url) body.server_url = formOf().elements.namedItem("server_url").value.trim();
  return during(button, async () => {
    const answer = await send("POST", "/api/settings/ai/kite/test", { body });
    const failed = answer.links.find((link) => link.state === "failed");
    const facts = [answer.http_version, answer.protocol_version && `protocol ${answer.protocol_version}`, `${answer.latency_ms} ms`, `${answer.tools.length} tools`, answer.order_tools ? "order tools" : "no order tools"];
    const head = answer.saved ? "Saved connection" : "Address as typed, not saved";
    const words = failed ? `${failed.label} failed: ${answer.error?.message ?? failed.reason}` : answer.error ? answer.error.message : "Connected.";
    result(note(failed || answer.error ? "stop" : "plain", el("b", {}, `${head}. `), words, el("br"), facts.filter(Boolean).join(" · ")),
      answer.saved ? "" : chain(answer.links));
  });
}

/** @param {Array<{label: string, state: string}>} links */
function chain(links) {
  const rows = links.map((link) => el("li", { class: `st-link st-link-${link.state}` },
    el("span", { class: "st-link-o" }, ...(ICONS[link.state] ? [icon(ICONS[link.state], "st-i-s")] : [])), el("span", {}, link.label), el("span", { class: "st-vh" }, `, ${STATE_WORDS[link.state]}`)));
  return el("ol", { class: "st-links", "aria-label": "Links of the address as typed" }, ...rows);
}

/** @param {HTMLButtonElement} button */
function status(button) {
  return during(button, async () => {
    const found = await send("GET", `/api/broker/connections/${button.dataset.kiteStatus}/status`);
    const words = found.authorized ? `Connected and authorised as ${found.user_name_masked || "you"}.` : found.connected ? "Connected; a log-in is needed." : `Not connected: ${found.last_error ?? "no answer"}`;
    result(note(found.authorized ? "plain" : "stop", words));
  });
}

/** @param {HTMLButtonElement} button */
function tools(button) {
  return during(button, async () => {
    const id = button.dataset.kiteTools;
    const found = await send("GET", `/api/broker/connections/${id}/tools`);
    const count = (mode) => found.filter((tool) => tool.mode === mode).length;
    result(note("plain", `${found.length} tools: ${count("read")} read, ${count("write")} write, ${count("login")} login.`));
    showTools(id, found);
  });
}

/** @param {HTMLButtonElement} button */
function snapshot(button) {
  return during(button, async () => {
    const made = await send("POST", `/api/broker/connections/${button.dataset.kiteSnapshot}/snapshot`, { body: {}, key: randomKey() });
    const missing = Object.entries(made.complete).filter(([, there]) => !there).map(([name]) => name);
    const link = el("a", { href: `/api/snapshots/${made.id}` }, `Snapshot ${made.id.slice(0, 8)}`);
    result(note(missing.length ? "stop" : "plain", link, ` is in the audit records, hash ${made.hash.slice(0, 8)}. ${missing.length ? `Not read: ${missing.join(", ")}.` : "All parts were read."}`));
  });
}

/** @type {Array<[string, (button: any) => unknown]>} */
const CLICKS = [
  ["[data-kite-test]", test], ["[data-kite-status]", status], ["[data-kite-tools]", tools], ["[data-kite-snapshot]", snapshot],
  ["[data-kite-discard]", discard],
];

export function startKiteSettings() {
  if (!document.getElementById("kite-mcp")) return;
  document.addEventListener("click", (event) => {
    for (const [selector, action] of CLICKS) {
      const found = /** @type {Element} */ (event.target).closest(`button${selector}`);
      if (found && !found.disabled) action(found);
    }
  });
  const form = formOf();
  form?.addEventListener("input", markUnsaved);
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    if (Object.keys(changes()).length) save();
  });
  window.addEventListener("beforeunload", (event) => {
    if (Object.keys(changes()).length) event.preventDefault();
  });
  for (const name of ["st:authorized", "st:authorize-left"]) document.addEventListener(name, readAgain);
  markUnsaved();
}
