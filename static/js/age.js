// Keeps every age stamp, the market clock and the cards' time left true, once a second.

/** @param {number} seconds */
function relative(seconds) {
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "m"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))} s`;
}

const IST = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Kolkata", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const started = Date.now();
/** The server's clock less ours, so that a wrong clock on the desk does not make fresh figures look old. */
const skew = Date.parse(document.body.dataset.now || "") - started || 0;

/** @returns {number} the server's time in milliseconds */
export function serverNow() {
  return Date.now() + skew;
}

function tickAges() {
  for (const stamp of document.querySelectorAll("[data-age]")) {
    const seconds = (serverNow() - Date.parse(stamp.dataset.age)) / 1000;
    const text = stamp.querySelector("[data-age-text]");
    const words = "ageShort" in stamp.dataset ? relative(seconds) : `${relative(seconds)} ago`;
    if (text && text.textContent !== words) text.textContent = words;
    const limit = Number(stamp.dataset.ageLimit || 0);
    const old = limit > 0 && seconds > limit;
    stamp.classList.toggle("st-age-old", old);
    stamp.closest("[data-stale-scope]")?.classList.toggle("st-stale", old);
  }
}

function tickClock() {
  for (const clock of document.querySelectorAll("[data-clock]")) {
    clock.textContent = IST.format(Date.parse(clock.dataset.clock) + (Date.now() - started));
  }
}

function tickCards() {
  for (const card of document.querySelectorAll("[data-card][data-expires]")) {
    const whole = (Date.parse(card.dataset.expires) - Date.parse(card.dataset.created)) / 1000;
    const left = Math.min(whole, (Date.parse(card.dataset.expires) - serverNow()) / 1000);
    const text = card.querySelector("[data-left]");
    if (text) text.textContent = left > 0 ? `${Math.floor(left / 60)}:${String(Math.floor(left % 60)).padStart(2, "0")} left` : "expired";
    card.querySelector("[data-bar]")?.setAttribute("width", String(Math.max(0, Math.min(100, (left / whole) * 100))));
    if (left <= 0 && !card.dataset.over) {
      card.dataset.over = "yes";
      card.dispatchEvent(new CustomEvent("st:card-over", { bubbles: true }));
    }
  }
}

export function startAges() {
  const tick = () => { tickAges(); tickClock(); tickCards(); };
  tick();
  setInterval(tick, 1000);
  document.addEventListener("htmx:afterSettle", tick);
}
