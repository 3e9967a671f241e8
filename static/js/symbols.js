// The instrument search of the ticket: a combobox over /api/instruments.
import { send } from "./api.js";
import { debounce, el } from "./dom.js";

/** @typedef {{symbol: string, name: string, tick_size?: string, lot_size?: number}} Instrument */

export class SymbolSearch {
  /**
   * @param {HTMLInputElement} input @param {HTMLElement} list
   * @param {(instrument: Instrument) => void} choose
   */
  constructor(input, list, choose) {
    this.input = input;
    this.list = list;
    this.choose = choose;
    /** @type {Instrument[]} */
    this.found = [];
    this.at = 0;
    this.asked = 0;
    const search = debounce(120, () => this.search());
    input.addEventListener("input", search);
    input.addEventListener("keydown", (event) => this.onKey(event));
    input.addEventListener("blur", () => setTimeout(() => this.close(), 150));
    list.addEventListener("mousedown", (event) => {
      const option = /** @type {Element} */ (event.target).closest("[role=option]");
      if (option) this.pick(Number(option.getAttribute("data-n")));
    });
  }

  async search() {
    const query = this.input.value.trim();
    const asked = ++this.asked;
    if (!query) return this.close();
    const answer = await send("GET", `/api/instruments?q=${encodeURIComponent(query)}&limit=8`).catch(() => null);
    if (asked !== this.asked || !answer) return undefined;
    this.found = answer.results ?? answer;
    this.at = 0;
    this.draw();
    return undefined;
  }

  draw() {
    const options = this.found.map((row, n) => {
      const [exchange, name] = row.symbol.split(":");
      const option = el("li", { role: "option", id: `ticket-option-${n}`, "data-n": String(n), "aria-selected": String(n === this.at) },
        el("b", { class: "st-sym" }, name), el("span", { class: "st-ex" }, exchange), el("span", { class: "st-mut st-sm st-cut" }, row.name || ""));
      return option;
    });
    this.list.replaceChildren(...(options.length ? options : [el("li", { class: "st-mut", role: "option", "aria-disabled": "true" }, "No instrument of that name")]));
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.input.setAttribute("aria-activedescendant", options.length ? `ticket-option-${this.at}` : "");
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!this.found.length) return;
      this.at = (this.at + (event.key === "ArrowDown" ? 1 : -1) + this.found.length) % this.found.length;
      this.draw();
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!this.list.hidden && this.found.length) this.pick(this.at);
    } else if (event.key === "Escape" && !this.list.hidden) {
      event.stopPropagation();
      this.close();
    }
  }

  /** @param {number} n */
  pick(n) {
    const row = this.found[n];
    this.close();
    if (row) this.choose(row);
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}
