// What stands below an answer's text: its table, its facts with their sources, choices and a link. Data in, elements out.
import { el, icon, price, rupees } from "./dom.js";

const MONEY = /^[+\u2212]?₹[\d,.]+$/;
const FIGURE = /^([+\u2212]?₹?[\d,.]+%?|MARKET|–|)$/;

/** The ₹ of a column stands in its head, not in every cell. @param {{columns: string[], rows: string[][]}} table */
export function tableOf(table) {
  const figures = table.columns.map((_, n) => n > 0 && table.rows.some((row) => /\d/.test(row[n] ?? "")) && table.rows.every((row) => FIGURE.test(row[n] ?? "")));
  const right = (n) => (figures[n] ? { class: "st-r" } : {});
  const money = table.columns.map((_, n) => table.rows.length > 0 && figures[n] && table.rows.some((row) => MONEY.test(row[n])) && table.rows.every((row) => MONEY.test(row[n]) || !/\d/.test(row[n])));
  const cellOf = (text, n) => (money[n] ? text.replace("₹", "") : text);
  const head = el("tr", {}, ...table.columns.map((name, n) => el("th", { scope: "col", ...right(n) }, money[n] ? `${name} ₹` : name)));
  const rows = table.rows.map((row) => el("tr", {}, ...row.map((cell, n) => el("td", { class: `${figures[n] ? "st-r" : n === 0 ? "st-med" : ""} ${tone(cell)}`.trim() }, cellOf(cell, n)))));
  return el("div", { class: "st-say-table", "data-testid": "answer-table", tabindex: "0", role: "region", "aria-label": "Figures of the answer" },
    el("table", { class: "st-t" }, el("thead", {}, head), el("tbody", {}, ...rows)));
}

/** A signed money cell has the colour of its sign; nothing else has one. @param {string} cell */
function tone(cell) {
  return /^\+₹?[\d]/.test(cell) ? "st-up" : /^\u2212₹?[\d]/.test(cell) ? "st-down" : "";
}

/** @param {{value?: string, unit?: string}} fact */
function shown({ value = "", unit = "" }) {
  if (unit === "INR") return rupees(value);
  if (unit === "COUNT" || unit === "SHARES") return value;
  if (unit === "percent" || unit === "%") return `${price(value)}%`;
  return `${value} ${unit}`.trim();
}

/** @param {string} source for example "snapshot:<id>" */
function sourceOf(source) {
  const [kind, id] = [source.split(":")[0], source.slice(source.indexOf(":") + 1)];
  const text = source.includes(":") ? `${kind} ${id.slice(0, 6)}` : source;
  return kind === "snapshot" ? el("a", { href: `/api/snapshots/${id}`, target: "_blank", rel: "noopener" }, text) : text;
}

/** @param {Array<Record<string, any>>} facts @param {string} trace */
export function factsOf(facts, trace) {
  const sources = [...new Set(facts.map((fact) => fact.source).filter(Boolean))];
  const more = trace ? [sources.length ? " · " : "", el("a", { href: `/traces/${trace}` }, `trace ${trace.slice(0, 8)}`)] : [];
  const links = sources.slice(0, 2).flatMap((source) => [" · ", sourceOf(source)]).slice(1);
  const head = el("summary", {}, icon("chevron-down", "st-i-s"), `Facts: ${facts.length} figure${facts.length === 1 ? "" : "s"}`);
  const rows = facts.map((fact) => el("li", fact.verified === false ? { class: "st-warn" } : {}, el("span", {}, fact.text ?? ""), el("b", {}, shown(fact))));
  return el("div", { class: "st-facts", "data-testid": "facts" }, el("details", {}, head, el("ul", {}, ...rows)), el("p", {}, ...links, ...more));
}

/** @param {Array<string|{label?: string, text?: string}>} choices @param {string} [mode] the mode a choice switches to */
export function choicesOf(choices, mode = "") {
  const buttons = choices.map((choice) => {
    const text = typeof choice === "string" ? choice : choice.text ?? "";
    const label = mode ? `${mode[0].toUpperCase()}${mode.slice(1)}: ${text}` : typeof choice === "string" ? choice : choice.label ?? text;
    return el("button", { class: "btn btn-sm", type: "button", "data-choice": text, "data-choice-mode": mode }, label);
  });
  return el("div", { class: "st-choices", "data-testid": "choices" }, ...buttons);
}
