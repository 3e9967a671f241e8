// The MCP console: the server's tools with our own word for each, and read tools called by a form made from the schema.
// Whatever the server says is put down as text.
import { ApiProblem, send } from "./api.js";
import { el, icon } from "./dom.js";

const MAX_ROWS = 200;
const MAX_COLUMNS = 14;
const MODE_WORDS = { read: "read", write: "write", login: "login" };
const CLOSED = {
  write: "Shown only. Nobody can call it here: orders leave through a plan, its card and your approval.",
  login: "Shown only. Authorize starts the log-in; calling this to see how it stands could end a log-in that works.",
};

/** @typedef {{name: string, mode: "read"|"write"|"login", description: string, input_schema: any}} Tool */

/** @param {string} connection @param {Tool[]} tools */
export function showTools(connection, tools) {
  const box = document.getElementById("mcp-tools");
  if (!box) return;
  const order = { read: 0, login: 1, write: 2 };
  const rows = [...tools].sort((a, b) => order[a.mode] - order[b.mode] || a.name.localeCompare(b.name));
  box.replaceChildren(...rows.map((tool) => toolRow(connection, tool)));
  box.hidden = rows.length === 0;
}

/** @param {string} connection @param {Tool} tool */
function toolRow(connection, tool) {
  const badge = tool.mode === "read" ? "st-badge" : tool.mode === "write" ? "st-badge st-badge-warn" : "st-badge st-badge-acc";
  const summary = el("summary", {}, el("code", {}, tool.name), el("span", { class: badge }, MODE_WORDS[tool.mode] ?? tool.mode),
    el("span", { class: "st-grow st-cut st-sm st-mut" }, tool.description), icon("chevron-down", "st-i-s"));
  const row = el("details", { class: "st-tool", "data-tool": tool.name, "data-testid": `tool-${tool.name}` }, summary);
  row.addEventListener("toggle", () => {
    if (row.open && row.children.length === 1) row.append(toolBody(connection, tool));
  });
  return row;
}

/** @param {string} connection @param {Tool} tool */
function toolBody(connection, tool) {
  const schema = el("details", { class: "st-raw-schema" }, el("summary", { class: "st-sm st-acc" }, "Schema"),
    el("pre", { class: "st-json" }, JSON.stringify(tool.input_schema, null, 2)));
  const words = el("p", { class: "st-sm st-ink2 st-words-kept" }, tool.description || "The server says nothing about it.");
  if (tool.mode !== "read") {
    return el("div", { class: "st-tool-body" }, words, el("p", { class: "st-note st-note-plain" }, icon("lock", "st-i-s"), el("span", {}, CLOSED[tool.mode])), schema);
  }
  const answer = el("div", { class: "st-tool-answer", "aria-live": "polite" });
  return el("div", { class: "st-tool-body" }, words, callForm(connection, tool, answer), schema, answer);
}

/** @param {string} connection @param {Tool} tool @param {HTMLElement} answer */
function callForm(connection, tool, answer) {
  const properties = Object.entries(tool.input_schema?.properties ?? {});
  const required = new Set(tool.input_schema?.required ?? []);
  const fields = properties.map(([name, spec]) => fieldOf(tool.name, name, spec ?? {}, required.has(name)));
  const button = el("button", { class: "btn btn-sm btn-primary", type: "submit", "data-testid": `call-${tool.name}` }, "Call");
  const form = el("form", { class: "st-tool-form", novalidate: "" }, ...fields.map((field) => field.node), button);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    call(connection, tool, fields, /** @type {HTMLButtonElement} */ (button), answer);
  });
  return form;
}

/** One field of the form, with what it makes of what was typed. @param {string} tool @param {string} name @param {any} spec @param {boolean} required */
function fieldOf(tool, name, spec, required) {
  const id = `arg-${tool}-${name}`;
  const kind = kindOf(spec);
  const input = inputOf(kind, spec, id, required);
  const label = el("label", { class: "form-label", for: id }, name, el("span", { class: "st-mut" }, ` ${kind}${required ? ", required" : ""}`));
  const error = el("p", { class: "st-field-error", id: `${id}-error`, role: "alert", hidden: "" });
  const hint = el("p", { class: "st-xs st-mut", id: `${id}-hint` }, spec.description ?? "");
  input.setAttribute("aria-describedby", `${id}-hint ${id}-error`);
  const say = (text) => {
    error.textContent = text;
    error.hidden = !text;
    input.setAttribute("aria-invalid", String(Boolean(text)));
  };
  return { name, node: el("div", { class: "st-tool-field" }, label, input, hint, error), say, input, read: () => valueOf(kind, spec, input.value, required) };
}

/** @param {any} spec */
function kindOf(spec) {
  const type = Array.isArray(spec.type) ? spec.type.find((word) => word !== "null") : spec.type;
  if (Array.isArray(spec.enum)) return "choice";
  if (type === "array" && (spec.items?.type ?? "string") === "string") return "list";
  return ["string", "number", "integer", "boolean"].includes(type) ? type : "JSON";
}

/** @param {string} kind @param {any} spec @param {string} id @param {boolean} required */
function inputOf(kind, spec, id, required) {
  const start = spec.default === undefined || spec.default === null ? "" : String(spec.default);
  const shared = { id, class: "form-control", autocomplete: "off", spellcheck: "false", ...(required ? { "aria-required": "true" } : {}) };
  if (kind === "choice" || kind === "boolean") {
    const words = kind === "boolean" ? ["true", "false"] : spec.enum.map(String);
    const options = (required && start ? words : ["", ...words]).map((word) => el("option", { value: word, ...(word === start ? { selected: "" } : {}) }, word || "not sent"));
    return /** @type {HTMLSelectElement} */ (el("select", { ...shared, class: "form-select" }, ...options));
  }
  if (kind === "list" || kind === "JSON") {
    return /** @type {HTMLTextAreaElement} */ (el("textarea", { ...shared, rows: "2", placeholder: kind === "list" ? "one in a line, or divided by commas" : "{ }" }));
  }
  const numeric = kind === "number" || kind === "integer";
  const input = /** @type {HTMLInputElement} */ (el("input", { ...shared, type: "text", ...(numeric ? { inputmode: kind === "integer" ? "numeric" : "decimal" } : {}) }));
  input.value = start;
  return input;
}

/** @returns {{value?: unknown, error?: string}} nothing for a field that is left out */
function valueOf(kind, spec, typed, required) {
  const text = typed.trim();
  if (!text) return required ? { error: "This is required." } : {};
  if (kind === "number" || kind === "integer") return numberOf(kind, spec, text);
  if (kind === "boolean") return { value: text === "true" };
  if (kind === "choice") return { value: spec.enum.find((word) => String(word) === text) };
  if (kind === "list") return { value: text.split(/[\n,]/).map((word) => word.trim()).filter(Boolean) };
  if (kind === "JSON") {
    try {
      return { value: JSON.parse(text) };
    } catch {
      return { error: "This is not JSON." };
    }
  }
  return { value: typed };
}

function numberOf(kind, spec, text) {
  if (!/^-?\d+(\.\d+)?$/.test(text)) return { error: "A plain number, such as 12 or 12.5." };
  const value = Number(text);
  if (kind === "integer" && !Number.isInteger(value)) return { error: "A whole number." };
  if (spec.minimum !== undefined && value < spec.minimum) return { error: `At least ${spec.minimum}.` };
  if (spec.maximum !== undefined && value > spec.maximum) return { error: `At most ${spec.maximum}.` };
  return { value };
}

/** @param {string} connection @param {Tool} tool @param {ReturnType<typeof fieldOf>[]} fields @param {HTMLButtonElement} button @param {HTMLElement} answer */
async function call(connection, tool, fields, button, answer) {
  /** @type {Record<string, unknown>} */
  const values = {};
  let first = null;
  for (const field of fields) {
    const read = field.read();
    field.say(read.error ?? "");
    if (read.error) first ??= field.input;
    else if ("value" in read) values[field.name] = read.value;
  }
  if (first) return first.focus();
  button.disabled = true;
  answer.replaceChildren(el("p", { class: "st-row st-mut" }, icon("refresh", "st-spin"), "Asking the broker…"));
  try {
    const found = await send("POST", `/api/broker/connections/${connection}/tools/${encodeURIComponent(tool.name)}`, { body: { arguments: values } });
    answer.replaceChildren(...answerOf(found));
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    answer.replaceChildren(el("div", { class: "st-note st-note-stop", role: "alert" }, icon("alert-circle", "st-i-s"), el("span", {}, error.sentence)));
  } finally {
    button.disabled = false;
  }
  return undefined;
}

/** @param {{result: unknown, duration_ms: number}} found @returns {Node[]} */
function answerOf(found) {
  const rows = rowsOf(found.result);
  const count = rows ? `${rows.length} row${rows.length === 1 ? "" : "s"}` : "one value";
  const head = el("p", { class: "st-sm st-mut" }, `${count} in ${found.duration_ms} ms${rows && rows.length > MAX_ROWS ? `, the first ${MAX_ROWS} as a table` : ""}`);
  const json = el("details", {}, el("summary", { class: "st-sm st-acc" }, "JSON"), el("pre", { class: "st-json st-json-box", tabindex: "0" }, JSON.stringify(found.result, null, 2)));
  if (!rows || rows.length === 0) {
    json.open = true;
    return [head, json];
  }
  return [head, table(rows.slice(0, MAX_ROWS)), json];
}

/** Rows of a list, of one page, of an object of objects, or of an object's own fields. @param {any} result @returns {Record<string, unknown>[]|null} */
function rowsOf(result) {
  if (Array.isArray(result)) return result.map((row) => (isObject(row) ? row : { value: row }));
  if (!isObject(result)) return null;
  if (Array.isArray(result.data)) return rowsOf(result.data);
  const entries = Object.entries(result);
  if (entries.length && entries.every(([, row]) => isObject(row))) return entries.map(([key, row]) => ({ "": key, ...row }));
  return entries.map(([name, value]) => ({ field: name, value }));
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param {Record<string, unknown>[]} rows */
function table(rows) {
  const all = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const names = all.slice(0, MAX_COLUMNS);
  const head = el("tr", {}, ...names.map((name) => el("th", { scope: "col" }, name || "key")));
  const body = rows.map((row) => el("tr", {}, ...names.map((name) => el("td", typeof row[name] === "number" ? { class: "st-r" } : {}, cell(row[name])))));
  const more = all.length > names.length ? [el("p", { class: "st-xs st-mut" }, `${all.length - names.length} more fields are in the JSON.`)] : [];
  return el("div", {}, el("div", { class: "st-scroll", tabindex: "0", role: "region", "aria-label": "Result as a table" },
    el("table", { class: "st-t st-console-table" }, el("thead", {}, head), el("tbody", {}, ...body))), ...more);
}

/** @param {unknown} value */
function cell(value) {
  if (value === null || value === undefined) return "–";
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
}
