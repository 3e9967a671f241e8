// Logging in at the broker: a warning, the broker's page in a new tab, then the connection's status is asked until it is
// authorised. The login is never called to see how it stands, and its address is kept no longer than it is waited for.
import { serverNow } from "./age.js";
import { ApiProblem, send } from "./api.js";
import { toast } from "./dom.js";

const EVERY_MS = 2000;
const LOOPBACK = new Set(["127.0.0.1", "localhost", "[::1]"]);
const IST = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

/** @type {{id: string, until: number, timer: number}|null} whom is waited for */
let waiting = null;

/** @returns {HTMLDialogElement} */
function dialogOf() {
  return /** @type {HTMLDialogElement} */ (document.getElementById("authorize-dialog"));
}

/** @param {string} name @returns {HTMLElement} */
function part(name) {
  return dialogOf().querySelector(`[data-authorize-${name}]`);
}

/** @param {string} connection */
function begin(connection) {
  forget();
  dialogOf().dataset.connection = connection;
  show("warn");
  dialogOf().showModal();
  part("go").focus();
}

/** @param {"warn"|"wait"} step @param {string} [error] */
function show(step, error = "") {
  part("warn").hidden = step !== "warn";
  part("wait").hidden = step !== "wait";
  part("go").hidden = step === "wait";
  part("stop").textContent = step === "wait" ? "Stop waiting" : "Cancel";
  part("error").textContent = error;
  part("error").hidden = !error;
}

async function ask() {
  const id = dialogOf().dataset.connection;
  const go = /** @type {HTMLButtonElement} */ (part("go"));
  go.disabled = true;
  show("warn");
  try {
    const answer = await send("POST", `/api/broker/connections/${id}/authorize`, { body: {} });
    if (answer.authorized) return finish();
    if (!isSafe(answer.login_url)) return show("warn", "The broker's log-in address is not one we open. Nothing was opened.");
    return wait(id, answer);
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    return show("warn", error.sentence);
  } finally {
    go.disabled = false;
  }
}

/** https, or http on this machine (our own paper exchange). @param {string|null} address */
function isSafe(address) {
  try {
    const url = new URL(address ?? "");
    return url.protocol === "https:" || (url.protocol === "http:" && LOOPBACK.has(url.hostname));
  } catch {
    return false;
  }
}

/** @param {string} id @param {{login_url: string, expires_at: string|null}} offer */
function wait(id, offer) {
  const until = offer.expires_at ? Date.parse(offer.expires_at) : serverNow() + 30 * 60000;
  const link = /** @type {HTMLAnchorElement} */ (part("link"));
  link.href = offer.login_url;
  part("until").textContent = `${IST.format(until)} IST`;
  show("wait");
  link.click();
  waiting = { id, until, timer: setTimeout(look, EVERY_MS) };
}

async function look() {
  const mine = waiting;
  if (!mine) return;
  if (serverNow() >= mine.until) {
    forget();
    show("warn", "The log-in link has expired, and nothing changed. Open the log-in page once more for a new one.");
    return;
  }
  let status = null;
  try {
    status = await send("GET", `/api/broker/connections/${mine.id}/status?poll=true`);
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    part("said").textContent = "Waiting; the session does not answer right now.";
  }
  if (waiting !== mine) return;
  if (status?.authorized) {
    finish();
    return;
  }
  if (status) part("said").textContent = "Waiting for the log-in to be finished.";
  mine.timer = setTimeout(look, EVERY_MS);
}

function finish() {
  forget();
  dialogOf().close("done");
  document.querySelector('[data-testid="login-strip"]')?.remove();
  toast("Authorised. Reading goes on by itself; nothing was sent meanwhile.");
  document.dispatchEvent(new CustomEvent("st:authorized"));
  document.body.dispatchEvent(new CustomEvent("st:refresh"));
}

/** Stops waiting and lets go of the address. */
function forget() {
  if (waiting) clearTimeout(waiting.timer);
  waiting = null;
  part("link").removeAttribute("href");
}

export function startAuthorize() {
  document.addEventListener("click", (event) => {
    const target = /** @type {Element} */ (event.target);
    const button = target.closest("[data-authorize]");
    if (button && button.getAttribute("aria-disabled") !== "true") begin(/** @type {HTMLElement} */ (button).dataset.authorize);
    if (target.closest("[data-authorize-go]")) ask();
    if (target.closest("[data-authorize-stop]")) dialogOf().close("stopped");
  });
  dialogOf().addEventListener("close", () => {
    const left = waiting !== null;
    forget();
    if (left) toast("The log-in was not finished. Nothing changed; press Authorize to go on.");
    document.dispatchEvent(new CustomEvent("st:authorize-left"));
  });
}
