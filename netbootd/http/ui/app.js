/**
 * The page as a whole: signing in, which view is shown, keys, and whether the daemon is in reach.
 *
 * The address says what is shown: `#/machines`, `#/machine/KEY`, `#/fleet`, `#/transfers`,
 * `#/leases`, `#/unknown`, `#/add/MAC`, `#/configuration`.
 */

import { get, unauthorized } from "./api.js";
import { byId, fill, setAttribute, setText } from "./dom.js";
import { entry } from "./entry.js";
import { findings } from "./findings.js";
import { fleet } from "./fleet.js";
import { leases } from "./leases.js";
import { loginForm, signIn, signInAgain, signOut, tokenOfAddress } from "./login.js";
import { machine } from "./machine.js";
import { machines } from "./machines.js";
import { counts, store } from "./store.js";
import { transfers } from "./transfers.js";
import { unknown } from "./unknown.js";

/**
 * @typedef {object} View
 * @property {() => string} title
 * @property {(query: string, rest: string) => void} show
 * @property {() => void} hide
 * @property {() => void} tick  each second while it is shown
 * @property {() => void} [always]  each second
 * @property {() => boolean} [escape]  whether there was something to take back
 */

const HOME = "machines";
/** Milliseconds a page that nobody looks at keeps its connections: browsers have few for one host. */
const UNSEEN = 60_000;

/** @type {Record<string, View>} */
const views = {
  machines: machines(),
  fleet: fleet(),
  machine: machine(),
  transfers: transfers(),
  leases: leases(),
  unknown: unknown(),
  add: entry(),
  configuration: findings(),
};
let shown = "";
let signedIn = false;
let renewing = false;
/** @type {number|undefined} */
let leaving;

const login = loginForm(enter);

// --- which view ----------------------------------------------------------------------------------

function route() {
  const given = tokenOfAddress();
  if (given) return void begin(given);
  if (!signedIn) return;
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  const wanted = name in views ? name : HOME;
  const moved = shown !== "";
  if (shown) views[shown].hide();
  for (const one of Object.keys(views)) byId(one).hidden = one !== wanted;
  shown = wanted;
  views[wanted].show(query, decoded(rest.join("/")));
  for (const link of byId("nav").querySelectorAll("a")) {
    const here = link.getAttribute("href") === `#/${wanted}`;
    setAttribute(link, "aria-current", here ? "page" : null);
    if (here) link.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  title();
  if (moved && wanted !== "add") {
    window.scrollTo(0, 0);
    byId(wanted).querySelector("h1")?.focus({ preventScroll: true });
  }
}

/** What somebody typed into the address may be no encoding. @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Failures stand in the title, to be seen from another tab. */
function title() {
  const of = counts(store.machines.values());
  const bad = (of.failed ?? 0) + (of.stuck ?? 0);
  const word = shown ? views[shown].title() : "Sign in";
  document.title = `${bad ? `(${bad}) ` : ""}${word} · netbootd`;
}

// --- who ----------------------------------------------------------------------------------------

/** With a token of the address. @param {string} token */
async function begin(token) {
  try {
    await signIn(token);
    enter();
  } catch (problem) {
    leave(problem);
  }
}

function enter() {
  signedIn = true;
  login.hide();
  for (const id of ["nav", "feed", "sign-out"]) byId(id).hidden = false;
  shown = "";
  store.feed.open();
  route();
}

/** The session is over: once for all answers that say so. */
async function expired() {
  if (!signedIn || renewing) return;
  renewing = true;
  const again = await signInAgain();
  renewing = false;
  if (again === "yes") store.feed.open();
  else if (again === "no") leave();
}

/** @param {unknown} [problem] */
function leave(problem) {
  signedIn = false;
  store.feed.close();
  if (shown) views[shown].hide();
  for (const one of Object.keys(views)) byId(one).hidden = true;
  for (const id of ["nav", "feed", "sign-out", "offline", "refused"]) byId(id).hidden = true;
  shown = "";
  store.clear();
  login.show(problem);
  title();
}

// --- in reach ------------------------------------------------------------------------------------

const FEED_WORDS = { opening: "connecting", open: "live", waiting: "offline", closed: "stopped" };
let lost = 0;

function tellFeed() {
  const { state } = store.feed;
  const place = byId("feed");
  setAttribute(place, "data-state", state);
  setText(/** @type {Element} */ (place.querySelector("span")), FEED_WORDS[state]);
  if (state === "open" || state === "closed") lost = 0;
  else if (state === "waiting" && !lost) lost = Date.now();
  tellOffline();
}

function tellOffline() {
  const banner = byId("offline");
  const off = lost > 0 && Date.now() - lost > 1500;
  if (off && banner.hidden) {
    fill(banner, "netbootd is out of reach. What is shown here is old; it comes up to date by itself when the daemon is back.");
  }
  banner.hidden = !off;
}

function seen() {
  clearTimeout(leaving);
  if (document.hidden) leaving = setTimeout(() => store.feed.close(), UNSEEN);
  else if (signedIn) store.feed.open();
}

// --- keys ----------------------------------------------------------------------------------------

/** @param {KeyboardEvent} event */
function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || !signedIn) return;
  const at = /** @type {HTMLElement} */ (event.target);
  const typing = at.matches("input:not([type=checkbox]), textarea, select");
  if (event.key === "Escape") {
    if (views[shown]?.escape?.()) event.preventDefault();
    else at.blur();
  } else if (event.key === "/" && !typing) {
    event.preventDefault();
    const own = /** @type {HTMLElement|null} */ (byId(shown).querySelector("input[type=search]"));
    if (!own) location.hash = `#/${HOME}`;
    setTimeout(() => (own ?? byId("search")).focus(), 0);
  }
}

store.on("feed", tellFeed);
store.on("machines", title);
unauthorized.addEventListener("401", () => void expired());
window.addEventListener("hashchange", route);
window.addEventListener("online", () => signedIn && store.feed.open());
document.addEventListener("visibilitychange", seen);
document.addEventListener("keydown", key);
byId("sign-out").addEventListener("click", () => void signOut().catch(() => {}).then(() => leave()));
setInterval(() => {
  if (!signedIn || document.hidden) return;
  tellOffline();
  for (const view of Object.values(views)) view.always?.();
  if (shown) views[shown].tick();
}, 1000);

const token = tokenOfAddress();
if (token) {
  void begin(token);
} else {
  // A session may be there already; if not, the answer is 401.  A daemon out of reach may come back.
  get("/status").then(enter, ({ status }) => (status === 401 ? leave() : enter()));
}
