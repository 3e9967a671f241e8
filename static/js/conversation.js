// The conversation as it is drawn: the trader's words, progress, tool rows, text, facts, choices and cards. Events in, elements out.
import { choicesOf, factsOf, tableOf } from "./answers.js";
import { el, icon, refresh } from "./dom.js";

const log = document.getElementById("assistant-log");

function isAtEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 60;
}

/** Scrolls on only when the reader is at the end already. @param {() => void} change */
export function following(change) {
  const atEnd = isAtEnd();
  change();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

/** @param {string} text */
export function addUser(text) {
  const mine = el("div", { class: "st-me", "data-testid": "user-message" }, text);
  following(() => log.append(mine));
  log.scrollTop = log.scrollHeight;
  return mine;
}

/** One answer, built from the events of its run. */
export class Turn {
  /** @param {{stored?: boolean}} [how] whether it is drawn from the record rather than as it happens */
  constructor({ stored = false } = {}) {
    this.stored = stored;
    /** @type {Promise<unknown>[]} */
    this.loading = [];
    this.box = el("div", { class: "st-turn", "data-testid": "assistant-turn" });
    /** @type {Map<string, {row: HTMLDetailsElement, text: string, started: number, parts: {args: string}}>} */
    this.tools = new Map();
    this.toolBox = null;
    this.say = null;
    this.sayId = "";
    this.text = "";
    this.started = Date.now();
    this.finished = false;
    this.cards = new Set();
    this.rest = false;
    this.progress = el("div", { class: "st-progress", "data-testid": "assistant-progress" }, icon("loader-2", "st-spin"), el("span", {}, "reading the message"));
    this.box.append(this.progress);
    following(() => log.append(this.box));
  }

  /** @param {Record<string, any>} event */
  apply(event) {
    const handler = HANDLERS[event.type];
    if (handler) following(() => handler(this, event));
  }

  /** Places a node above the progress row. @param {Node} node */
  put(node) {
    this.box.insertBefore(node, this.progress);
  }

  /** @param {string} words */
  doing(words) {
    this.progress.lastElementChild.textContent = words;
  }

  /** @param {string} id */
  addCard(id) {
    if (!id || this.cards.has(id)) return;
    this.cards.add(id);
    const slot = el("div", { class: "st-card-slot" }, el("span", { class: "st-skel" }));
    this.put(slot);
    const stick = isAtEnd() && !this.stored;
    const loaded = refresh(slot, `/cards/${id}?at=panel`).then(() => {
      const card = document.getElementById(`card-panel-${id}`);
      if (stick && card) log.scrollTop = Math.min(log.scrollHeight, card.offsetTop - log.offsetTop - 8);
    });
    this.loading.push(loaded);
  }

  /** What a finished message carries besides its text. @param {Record<string, any>} message */
  addRest(message) {
    const { facts = [], details = {}, cards = [], correlation_id: trace = "" } = message;
    if (this.rest) return;
    this.rest = true;
    if (details.table) this.put(tableOf(details.table));
    for (const card of cards) this.addCard(card.id ?? card);
    if (facts.length) this.put(factsOf(facts, trace));
    if (details.choices?.length) this.put(choicesOf(details.choices, details.offer_mode));
    if (details.link) this.put(el("p", {}, el("a", { class: "btn btn-sm", href: details.link }, "Open the place where this is done")));
  }

  /** @param {string} delta @param {string} id */
  write(delta, id = "") {
    if (!this.say || this.sayId !== id) {
      this.say = el("div", { class: "st-say", "data-testid": "assistant-text" });
      this.sayId = id;
      this.put(this.say);
    }
    this.text += delta;
    this.say.textContent += delta;
  }

  /** @param {string} id @param {string} name */
  startTool(id, name) {
    if (!this.toolBox?.isConnected || this.toolBox.nextElementSibling !== this.progress) {
      this.toolBox = el("div", { class: "st-tools" });
      this.put(this.toolBox);
    }
    const summary = el("summary", {}, icon("loader-2", "st-spin"), el("b", { class: "st-med" }, name), el("span", { class: "st-mut st-cut st-grow" }), el("span", { class: "st-mut" }), icon("chevron-down", "st-i-s"));
    const row = el("details", { "data-testid": "tool-row" }, summary, el("pre", { class: "st-json" }));
    this.toolBox.append(row);
    this.tools.set(id, { row, text: "", started: Date.now(), parts: { args: "" } });
  }

  /** @param {string} id @param {string} delta */
  toolArguments(id, delta) {
    const tool = this.tools.get(id);
    if (!tool) return;
    tool.parts.args += delta;
    tool.row.querySelector("summary .st-cut").textContent = short(tool.parts.args);
  }

  /** @param {string} id @param {{content?: unknown, ok?: boolean, ms?: number}} result */
  endTool(id, { content, ok = true, ms }) {
    const tool = this.tools.get(id);
    if (!tool || tool.row.dataset.done) return;
    tool.row.dataset.done = "yes";
    const marks = tool.row.querySelectorAll("summary .st-i");
    marks[0].replaceWith(icon(ok ? "check" : "x", ok ? "" : "st-stop"));
    const spent = ms ?? Date.now() - tool.started;
    tool.row.querySelectorAll("summary .st-mut")[1].textContent = spent < 1000 ? `${Math.round(spent)} ms` : `${(spent / 1000).toFixed(1)} s`;
    const result = typeof content === "string" ? content : JSON.stringify(content ?? null, null, 1);
    tool.row.querySelector("pre").textContent = `${tool.parts.args || "{}"}\n\n${result}`.slice(0, 6000);
  }

  /** The end of a run, whatever it was. @param {"complete"|"stopped"|"failed"} how */
  finish(how, words = "") {
    if (this.finished) return;
    this.finished = true;
    this.progress.remove();
    if (how === "stopped") this.box.append(el("p", { class: "st-xs st-mut" }, "Stopped. What stands above is all that was said; nothing was sent."));
    if (how === "failed") this.box.append(el("p", { class: "st-note st-note-stop", role: "alert" }, icon("alert-circle"), el("span", {}, words)));
  }
}

/** @param {string} text a tool's arguments, JSON, as one line for people */
function short(text) {
  try {
    return Object.entries(JSON.parse(text)).map(([name, value]) => `${name} ${[value].flat().join(", ")}`).join(" · ").slice(0, 80);
  } catch {
    return "";
  }
}

/** @type {Record<string, (turn: Turn, event: Record<string, any>) => void>} */
const HANDLERS = {
  STEP_STARTED: (turn, event) => turn.doing(String(event.stepName ?? "working").replaceAll("_", " ")),
  TEXT_MESSAGE_CONTENT: (turn, event) => turn.write(event.delta ?? "", event.messageId),
  TOOL_CALL_START: (turn, event) => { turn.startTool(event.toolCallId, event.toolCallName ?? "tool"); turn.doing(`${event.toolCallName ?? "tool"} running`); },
  TOOL_CALL_ARGS: (turn, event) => turn.toolArguments(event.toolCallId, event.delta ?? ""),
  TOOL_CALL_RESULT: (turn, event) => turn.endTool(event.toolCallId, { content: event.content, ok: event.ok ?? event.error === undefined, ms: event.ms }),
  ACTIVITY_SNAPSHOT: (turn, event) => turn.addCard(event.content?.id ?? ""),
  STATE_SNAPSHOT: (turn, event) => turn.addRest(event.snapshot?.message ?? {}),
  RUN_FINISHED: (turn, event) => turn.finish(event.outcome?.type === "stopped" ? "stopped" : "complete"),
  RUN_ERROR: (turn, event) => turn.finish("failed", event.message ?? "The run failed. Your message is kept."),
};

/**
 * A stored message, drawn as its run left it.
 * @param {Record<string, any>} message
 */
export function drawStored(message) {
  if (message.role === "user") {
    addUser(message.text);
    return null;
  }
  const turn = new Turn({ stored: true });
  (message.tools ?? []).forEach((tool, n) => {
    turn.startTool(`t${n}`, tool.name);
    turn.toolArguments(`t${n}`, JSON.stringify(tool.arguments ?? {}));
    turn.endTool(`t${n}`, { content: tool.result ?? "", ok: tool.ok, ms: tool.ms });
  });
  if (message.text) turn.write(message.text);
  turn.addRest(message);
  if (message.state === "failed") turn.finish("failed", "This run failed; what stands above is what had been said.");
  else turn.finish(message.state === "stopped" ? "stopped" : "complete");
  return turn;
}
