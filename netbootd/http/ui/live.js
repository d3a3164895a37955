/**
 * A stream of events that comes back by itself.
 *
 * By `fetch` and not by `EventSource`, which tells no status (so not that the session is over) and
 * does not notice a connection that died silently: the daemon says something each 15 s, so whoever
 * is silent for SILENCE is gone.
 *
 *     opening -- answer 200 --> open -- end, error, silence --> waiting -- time, "online" --> opening
 */

import { BASE, unauthorized } from "./api.js";
import { Parser } from "./sse.js";

const SILENCE = 40_000;
const SHORTEST = 500;
const LONGEST = 15_000;

/** @typedef {"opening"|"open"|"waiting"|"closed"} FeedState */

export class Feed {
  /** @type {FeedState} */
  state = "closed";
  /** When it is tried again, as Date.now() says it; for whoever shows that. */
  retryAt = 0;
  #path;
  #heard;
  #changed;
  #failures = 0;
  /** @type {AbortController|null} */
  #connection = null;
  /** @type {number|undefined} */
  #timer;

  /**
   * @param {string} path  below the API's base
   * @param {(event: string, data: any) => void} heard
   * @param {(feed: Feed) => void} changed  after each change of the state
   */
  constructor(path, heard, changed) {
    this.#path = path;
    this.#heard = heard;
    this.#changed = changed;
  }

  /** Begin, or try again at once. */
  open() {
    if (this.state === "opening" || this.state === "open") return;
    clearTimeout(this.#timer);
    void this.#run();
  }

  /** For good, or until it is opened again. */
  close() {
    clearTimeout(this.#timer);
    this.#to("closed");
    this.#connection?.abort();
  }

  async #run() {
    const connection = new AbortController();
    this.#connection = connection;
    this.#to("opening");
    try {
      await this.#read(connection);
    } catch {
      // whatever ended it, the answer is the same: try again
    }
    connection.abort();
    if (this.#connection === connection && this.state !== "closed") this.#wait();
  }

  /** @param {AbortController} connection */
  async #read(connection) {
    const parser = new Parser();
    const silence = this.#watch(connection);
    try {
      const response = await fetch(BASE + this.#path, {
        headers: { Accept: "text/event-stream" },
        credentials: "same-origin",
        cache: "no-store",
        signal: connection.signal,
      });
      if (response.status === 401) unauthorized.dispatchEvent(new Event("401"));
      if (!response.ok || !response.body) return;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      this.#failures = 0;
      this.#to("open");
      for (;;) {
        silence.again();
        const { value, done } = await reader.read();
        if (done || connection.signal.aborted) return;
        for (const { event, data } of parser.push(value)) this.#heard(event, JSON.parse(data));
      }
    } finally {
      silence.end();
    }
  }

  /** @param {AbortController} connection */
  #watch(connection) {
    let timer = setTimeout(() => connection.abort(), SILENCE);
    return {
      again() {
        clearTimeout(timer);
        timer = setTimeout(() => connection.abort(), SILENCE);
      },
      end: () => clearTimeout(timer),
    };
  }

  /** Twice as long each time, and not all browsers in the same moment after a restart. */
  #wait() {
    const longest = Math.min(LONGEST, SHORTEST * 2 ** this.#failures);
    this.#failures += 1;
    const pause = longest * (0.5 + Math.random() / 2);
    this.retryAt = Date.now() + pause;
    this.#to("waiting");
    this.#timer = setTimeout(() => this.open(), pause);
  }

  /** @param {FeedState} state */
  #to(state) {
    this.state = state;
    this.#changed(this);
  }
}
