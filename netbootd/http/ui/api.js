/** Asking the API of the daemon that served this page. */

/** @typedef {import("./types.js").Finding} Finding */

export const BASE = "/api/v1";
/** Milliseconds; a reload reads and rehearses every machine. */
const PATIENCE = 120_000;

/** What the API said no with; *status* 0: it was not reached. */
export class ApiError extends Error {
  /** @param {number} status @param {string} code @param {string} text @param {Finding[]} findings */
  constructor(status, code, text, findings = []) {
    super(text);
    this.status = status;
    this.code = code;
    this.findings = findings;
  }
}

/** Told when an answer is 401: the session is over, or there never was one. */
export const unauthorized = new EventTarget();

/**
 * The answer to one request, read as JSON; null where there is none.  Throws ApiError.
 *
 * @param {string} method
 * @param {string} path  below BASE, already encoded
 * @param {object} [options]
 * @param {any} [options.body]
 * @param {string} [options.token]  instead of the cookie
 * @param {AbortSignal} [options.signal]
 */
export async function call(method, path, { body, token, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", "X-Requested-With": "netbootd" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token !== undefined) headers.Authorization = `Bearer ${token}`;
  const patience = AbortSignal.timeout(PATIENCE);
  let response;
  let text;
  try {
    response = await fetch(BASE + path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, patience]) : patience,
    });
    text = await response.text();
  } catch (problem) {
    if (signal?.aborted) throw problem;
    throw new ApiError(0, "unreachable", "netbootd does not answer");
  }
  if (response.ok) return text ? JSON.parse(text) : null;
  if (response.status === 401 && token === undefined) unauthorized.dispatchEvent(new Event("401"));
  throw refusal(response.status, text);
}

/** @param {number} status @param {string} text @returns {ApiError} */
function refusal(status, text) {
  try {
    const { error } = JSON.parse(text);
    return new ApiError(status, error.code, error.message, error.findings ?? []);
  } catch {
    return new ApiError(status, "http", text.trim().slice(0, 500) || `HTTP status ${status}`);
  }
}

/** @param {string} path @param {AbortSignal} [signal] */
export const get = (path, signal) => call("GET", path, { signal });

/** The path of a machine. @param {string} key @param {string} [rest] */
export const ofMachine = (key, rest = "") => `/machines/${encodeURIComponent(key)}${rest}`;
