// The kill switch: one press on; off asks for a reason and, if the session is not fresh, for proof of who it is.
import { ApiProblem, randomKey, send } from "./api.js";
import { toast } from "./dom.js";

/** @param {string} state @param {boolean} cancelOpen */
async function pull(state, cancelOpen) {
  const body = cancelOpen ? { state, cancel_open: true } : { state };
  try {
    const answer = await send("POST", "/api/kill-switch", { body, key: randomKey() });
    announce(state, cancelOpen, answer);
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error;
    toast(`The kill switch was not set. ${error.sentence}`, "stop");
  }
}

/** @param {string} state @param {boolean} cancelOpen @param {{cancelled?: unknown[]}|null} answer */
function announce(state, cancelOpen, answer) {
  const orders = answer?.orders ?? answer?.cancelled ?? [];
  const words = state === "HALTED" ? "Halted: nothing is sent." : "Exits only: orders that add risk are denied.";
  const cancels = cancelOpen ? orders.length ? ` ${orders.length} cancel${orders.length === 1 ? "" : "s"} sent; watch them on the orders page.` : " No order was open." : "";
  sessionStorage.setItem("st-toast", words + cancels);
  window.location.reload();
}

/** @param {HTMLFormElement} form */
async function release(form) {
  const data = new FormData(form);
  const error = form.querySelector("[data-error]");
  error.hidden = true;
  try {
    if (data.get("password")) await send("POST", "/api/reauthenticate", { body: { password: String(data.get("password")) } });
    await send("POST", "/api/kill-switch", { body: { state: "ACTIVE", reason: String(data.get("reason")) }, key: randomKey() });
    sessionStorage.setItem("st-toast", "Released: trading is active again.");
    window.location.reload();
  } catch (problem) {
    if (!(problem instanceof ApiProblem)) throw problem;
    const proof = problem.code === "REAUTH_REQUIRED";
    if (proof) form.querySelector("[data-reauth]").hidden = false;
    error.textContent = proof ? "Releasing asks who you are." : problem.sentence;
    error.hidden = false;
    if (proof) form.querySelector("[name=password]")?.focus();
  }
}

export function startKill() {
  document.addEventListener("click", (event) => {
    const target = /** @type {Element} */ (event.target);
    const button = target.closest("[data-kill]");
    if (button && button.getAttribute("aria-disabled") !== "true") pull(button.dataset.kill, button.dataset.cancelOpen === "true");
    if (target.closest("[data-release]")) document.getElementById("release-dialog").showModal();
  });
  document.querySelector("[data-release-form]")?.addEventListener("submit", (event) => {
    event.preventDefault();
    release(/** @type {HTMLFormElement} */ (event.target));
  });
  const waiting = sessionStorage.getItem("st-toast");
  if (waiting) {
    sessionStorage.removeItem("st-toast");
    toast(waiting);
  }
}
