// One way to the API: CSRF, JSON, problem+json, and idempotency keys that outlive a retry or a reload.

/**
 * A refusal as the API tells it (RFC 9457), or a network failure with code NETWORK.
 * @typedef {{field: string, code: string, message: string}} FieldFault
 */
export class ApiProblem extends Error {
  /** @param {{status?: number, code?: string, detail?: string, title?: string, errors?: FieldFault[], correlation_id?: string}} body */
  constructor(body) {
    super(body.detail || body.title || "The request failed.");
    this.status = body.status ?? 0;
    this.code = body.code ?? "UNKNOWN";
    this.errors = body.errors ?? [];
    this.correlationId = body.correlation_id ?? "";
    this.body = body;
  }

  /** The sentence to show: the detail, then each field's message. @returns {string} */
  get sentence() {
    const faults = this.errors.map((fault) => fault.message).filter((text) => text && !this.message.includes(text));
    return [this.message, ...faults].join(" ");
  }
}

/** @returns {string} the token of the cookie, which a sign-in elsewhere may have renewed, else the page's own */
export function csrfToken() {
  const cookie = document.cookie.split("; ").find((part) => /^(__Host-)?csrftoken=/.test(part));
  return cookie ? cookie.slice(cookie.indexOf("=") + 1) : document.body.dataset.csrf || "";
}

/** @returns {string} a random key of 32 hex characters */
export function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * The key of one intention: the same for every retry, in this tab, until `settle` says the intention has its answer.
 * @param {string} scope for example "plan:" and the form's content
 */
export function keyFor(scope) {
  const name = `st-key:${scope}`;
  let key = sessionStorage.getItem(name);
  if (!key) {
    key = randomKey();
    sessionStorage.setItem(name, key);
  }
  return key;
}

/** @param {string} scope */
export function settle(scope) {
  sessionStorage.removeItem(`st-key:${scope}`);
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{body?: unknown, key?: string, accept?: string, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>} an answer below 400; anything else is thrown as ApiProblem
 */
export async function open(method, path, { body, key, accept = "application/json", signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: accept };
  if (method !== "GET") headers["X-CSRFToken"] = csrfToken();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  let response;
  try {
    response = await fetch(path, {
      method, headers, signal, credentials: "same-origin", body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiProblem({ code: "NETWORK", detail: "SigmaTrader did not answer. Press again: the same request is never done twice." });
  }
  if (response.ok) return response;
  throw await problemOf(response);
}

/**
 * As `open`, with the JSON of the answer (null when there is none).
 * @param {string} method
 * @param {string} path
 * @param {{body?: unknown, key?: string, signal?: AbortSignal}} [options]
 */
export async function send(method, path, options = {}) {
  const response = await open(method, path, options);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** @param {Response} response */
async function problemOf(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    body = {};
  }
  const problem = new ApiProblem({ status: response.status, ...body });
  const signedOut = response.status === 401 || problem.code === "NOT_AUTHENTICATED" || problem.code === "AUTHENTICATION_REQUIRED";
  if (signedOut || (response.status === 403 && /csrf/i.test(problem.message))) {
    document.dispatchEvent(new CustomEvent("st:signed-out"));
  }
  return problem;
}
