/** Signing in: the token once, and afterwards a cookie that scripts cannot read. */

import { ApiError, call } from "./api.js";
import { byId, setAttribute, setText } from "./dom.js";

/** The token of `#token=…`, taken out of the address bar and of the history; empty for none. */
export function tokenOfAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
  if (location.hash.startsWith("#token=")) {
    history.replaceState(null, "", `${location.pathname}${location.search}#/machines`);
  }
  return token.trim();
}

/** The token as long as this page is open: a daemon that restarts forgets its sessions. */
let kept = "";

/** Begin a session; throws ApiError. @param {string} token */
export async function signIn(token) {
  await call("POST", "/session", { token });
  kept = token;
}

/**
 * Begin one anew with the token that was good before.
 *
 * @returns {Promise<"yes"|"no"|"later">}  later: nobody was there to say
 */
export async function signInAgain() {
  if (!kept) return "no";
  try {
    await signIn(kept);
    return "yes";
  } catch (problem) {
    if (!(problem instanceof ApiError) || problem.status !== 401) return "later";
    kept = "";
    return "no";
  }
}

/** End it. */
export function signOut() {
  kept = "";
  return call("DELETE", "/session");
}

/** What to say to a token that was not taken. @param {unknown} problem */
function words(problem) {
  if (!(problem instanceof ApiError)) return String(problem);
  if (problem.status === 401 || problem.status === 403) return "This is not the API token.";
  return problem.message;
}

/** The form; *done* is called when the session has begun. @param {() => void} done */
export function loginForm(done) {
  const section = byId("login");
  const form = /** @type {HTMLFormElement} */ (section.querySelector("form"));
  const input = /** @type {HTMLInputElement} */ (byId("token"));
  const error = byId("token-error");

  /** @param {string} text */
  function complain(text) {
    error.hidden = !text;
    setText(error, text);
    setAttribute(input, "aria-invalid", text ? "true" : null);
    if (text) input.focus();
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const token = input.value.trim();
    if (!token) return complain("The token is missing.");
    try {
      await signIn(token);
      input.value = "";
      complain("");
      done();
    } catch (problem) {
      complain(words(problem));
    }
  });

  return {
    /** @param {unknown} [problem]  why a token of the address was not taken */
    show(problem) {
      section.hidden = false;
      complain(problem ? words(problem) : "");
      input.focus();
    },
    hide() {
      section.hidden = true;
    },
  };
}
