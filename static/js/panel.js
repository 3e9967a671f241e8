// The assistant's panel: open or closed, draft kept, one run at a time, the thread drawn again after a reload.
import { ApiProblem, keyFor, open, send, settle } from "./api.js";
import { Turn, addUser, drawStored } from "./conversation.js";
import { eventsOf } from "./stream.js";

const root = document.documentElement;
const panel = document.getElementById("assistant");
const input = /** @type {HTMLTextAreaElement} */ (document.getElementById("assistant-input"));
const stopButton = /** @type {HTMLButtonElement} */ (document.getElementById("assistant-stop"));
const FIRST_WORD_MS = 30000;
const draftKey = `st-draft:${document.body.dataset.user}`;
const threadKey = `st-thread:${document.body.dataset.user}`;
/** @type {{thread: string, run: AbortController|null, back: Element|null, stopped: boolean}} */
const state = { thread: localStorage.getItem(threadKey) ?? "", run: null, back: null, stopped: false };

/** @type {Promise<void>|null} */
let drawing = null;

/** @param {boolean} [wanted] */
export function togglePanel(wanted = root.dataset.panel !== "open") {
  if (wanted) state.back = document.activeElement;
  root.dataset.panel = wanted ? "open" : "closed";
  document.cookie = `st-panel=${wanted ? "open" : "closed"}; path=/; max-age=31536000; samesite=lax`;
  for (const button of document.querySelectorAll("[data-panel-toggle][aria-controls]")) button.setAttribute("aria-expanded", String(wanted));
  if (wanted) {
    load();
    input.focus();
  } else if (state.back instanceof HTMLElement && state.back.isConnected && state.back !== document.body) state.back.focus();
  else document.getElementById("main").focus();
}

/** Draws the latest thread once; whoever asks again waits for the same drawing, the rest of an interrupted run included. */
function load() {
  if (panel.dataset.enabled !== "yes") return Promise.resolve();
  drawing ??= draw();
  return drawing;
}

async function draw() {
  try {
    if (!state.thread) {
      const threads = await send("GET", "/api/ai/threads?limit=1");
      state.thread = threads.results?.[0]?.id ?? "";
    }
    if (!state.thread) return;
    const thread = await send("GET", `/api/ai/threads/${state.thread}`);
    const messages = thread.messages?.results ?? thread.messages ?? [];
    if (messages.length) hideHello();
    messages.sort((a, b) => Date.parse(a.created_at) - Date.parse(b.created_at) || (a.role === "user" ? -1 : 1));
    const running = messages.at(-1)?.role === "assistant" && messages.at(-1).state === "partial" && !messages.at(-1).finished_at;
    const turns = (running ? messages.slice(0, -1) : messages).map(drawStored).filter(Boolean);
    const log = document.getElementById("assistant-log");
    log.scrollTop = 1e9;
    await Promise.all(turns.flatMap((turn) => turn.loading));
    log.scrollTop = 1e9;
    if (running) await resume(thread.last_event_id);
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    if (error.status === 404) forgetThread();
  }
}

/** How far back the events of one run may lie; a run of the built-in reader has about 30. */
const RUN_EVENTS = 400;

/** A run that a reload interrupted for us, but not for the server: what it said so far, then the rest as it comes. @param {number} last */
async function resume(last) {
  const path = `/api/ai/threads/${state.thread}/events`;
  const { events } = await send("GET", `${path}?after=${Math.max(0, last - RUN_EVENTS)}`);
  const start = events.findLastIndex((event) => event.type === "RUN_STARTED");
  const told = start < 0 ? [] : events.slice(start);
  const turn = new Turn();
  state.run = new AbortController();
  state.stopped = false;
  setRunning(true);
  try {
    for (const event of told) turn.apply(event);
    const response = await open("GET", `${path}?after=${told.at(-1)?.id ?? last}`, { accept: "text/event-stream", signal: state.run.signal });
    for await (const event of eventsOf(response)) {
      turn.apply(event.data);
      if (turn.finished) break;
    }
    turn.finish(state.stopped ? "stopped" : "complete");
    document.getElementById("assistant-announce").textContent = turn.text;
  } catch (error) {
    fail(turn, error, "");
  } finally {
    state.run = null;
    setRunning(false);
  }
}

function forgetThread() {
  state.thread = "";
  localStorage.removeItem(threadKey);
}

async function threadId() {
  if (!state.thread) {
    const thread = await send("POST", "/api/ai/threads", { body: {}, key: keyFor("thread") });
    settle("thread");
    state.thread = thread.id;
  }
  localStorage.setItem(threadKey, state.thread);
  return state.thread;
}

function hideHello() {
  document.getElementById("assistant-hello")?.remove();
}

/** @param {boolean} running */
function setRunning(running) {
  stopButton.hidden = !running;
  document.getElementById("assistant-send").hidden = running;
  input.placeholder = running ? "You can type the next message while this runs" : "Ask, watch or trade in your own words";
}

/** @param {string} text */
async function say(text) {
  await load(); // a new turn belongs below the stored ones
  if (state.run) return keepDraft(text); // one run at a time
  hideHello();
  addUser(text);
  const turn = new Turn();
  state.run = new AbortController();
  state.stopped = false;
  setRunning(true);
  try {
    await run(text, turn);
    turn.finish(state.stopped ? "stopped" : "complete");
    document.getElementById("assistant-announce").textContent = turn.text;
  } catch (error) {
    fail(turn, error, text);
  } finally {
    state.run = null;
    setRunning(false);
  }
}

/** @param {string} text @param {Turn} turn */
async function run(text, turn) {
  const thread = await threadId();
  const mode = panel.querySelector("input[name=assistant-mode]:checked")?.value ?? "auto";
  const scope = `say:${thread}:${mode}:${text}`;
  const timer = setTimeout(() => state.run?.abort("slow"), FIRST_WORD_MS);
  try {
    const response = await open("POST", `/api/ai/threads/${thread}/messages`, {
      body: { text, mode }, key: keyFor(scope), accept: "text/event-stream", signal: state.run.signal,
    });
    for await (const event of eventsOf(response)) {
      clearTimeout(timer);
      turn.apply(event.data);
    }
    settle(scope);
  } catch (error) {
    if (error instanceof ApiProblem && error.status) settle(scope);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Turn} turn @param {unknown} error @param {string} text */
function fail(turn, error, text) {
  if (state.stopped) return turn.finish("stopped");
  const slow = state.run?.signal.reason === "slow";
  if (!slow && !(error instanceof ApiProblem) && !(error instanceof TypeError) && !(error instanceof DOMException)) throw error;
  if (text && !input.value) keepDraft(text);
  if (error instanceof ApiProblem && error.status === 404) forgetThread();
  const words = slow ? "No answer in 30 s. Your message is kept below; send it again." : error instanceof ApiProblem ? error.sentence : "The line broke. What arrived stays; your message is kept.";
  return turn.finish("failed", words);
}

async function stop() {
  state.stopped = true;
  if (state.thread) await send("POST", `/api/ai/threads/${state.thread}/stop`, { body: {} }).catch(() => null);
  state.run?.abort("stop");
}

/** @param {string} text */
function keepDraft(text) {
  input.value = text;
  localStorage.setItem(draftKey, text);
}

function submit() {
  const text = input.value.trim();
  if (!text || state.run || panel.dataset.enabled !== "yes") return;
  keepDraft("");
  say(text);
}

/** @param {string|undefined} mode */
function chooseMode(mode) {
  const input = mode && panel.querySelector(`input[name=assistant-mode][value=${mode}]`);
  if (input) input.checked = true;
}

/** @param {Event} event */
function onClick(event) {
  const target = /** @type {Element} */ (event.target);
  if (target.closest("[data-panel-toggle]")) togglePanel(target.closest("#assistant") ? false : undefined);
  const example = target.closest("[data-example]");
  if (example) {
    chooseMode(example.dataset.exampleMode);
    keepDraft(example.dataset.example);
    input.focus();
  }
  const choice = target.closest("[data-choice]");
  if (choice) {
    chooseMode(choice.dataset.choiceMode);
    keepDraft(choice.dataset.choice);
    input.focus();
  }
}

const WIDTHS = ["st-w-1", "", "st-w-3", "st-w-4"];
const PIXELS = [360, 400, 480, 560];

/** @param {number} step */
function widen(step) {
  const at = Number(localStorage.getItem("st-width") ?? 1);
  const next = Math.max(0, Math.min(WIDTHS.length - 1, at + step));
  localStorage.setItem("st-width", String(next));
  showWidth();
}

function showWidth() {
  root.classList.remove(...WIDTHS.filter(Boolean));
  const name = WIDTHS[Number(localStorage.getItem("st-width") ?? 1)];
  if (name) root.classList.add(name);
  panel.querySelector("[data-panel-grip]").setAttribute("aria-valuenow", String(PIXELS[WIDTHS.indexOf(name)]));
}

function startGrip() {
  const grip = panel.querySelector("[data-panel-grip]");
  grip.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") widen(1);
    if (event.key === "ArrowRight") widen(-1);
  });
  grip.addEventListener("pointerdown", (event) => {
    const from = event.clientX;
    grip.setPointerCapture(event.pointerId);
    grip.addEventListener("pointerup", (up) => {
      if (Math.abs(up.clientX - from) > 30) widen(up.clientX < from ? 1 : -1);
    }, { once: true });
  });
  showWidth();
}

export function startPanel() {
  if (!panel) return;
  startGrip();
  document.addEventListener("click", onClick);
  document.getElementById("assistant-form").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
  stopButton.addEventListener("click", stop);
  input.value = localStorage.getItem(draftKey) ?? "";
  input.addEventListener("input", () => localStorage.setItem(draftKey, input.value));
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit();
    }
  });
  if (root.dataset.panel === "open") load();
}
