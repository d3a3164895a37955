/** Server-sent events, read from text as it comes (HTML Standard, 9.2.6).  Pure. */

/** @typedef {{event: string, data: string}} Message */

/** The most characters that are kept of an event that does not end. */
const MOST = 4 << 20;

/** Feed it text, it gives the events that are complete. */
export class Parser {
  #rest = "";
  #event = "";
  /** @type {string[]} */
  #data = [];

  /** @param {string} text @returns {Message[]} */
  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    if (this.#rest.length > MOST) throw new Error("an event without an end");
    return lines.flatMap((line) => this.#line(line));
  }

  /** @param {string} line @returns {Message[]} */
  #line(line) {
    if (line === "") return this.#end();
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.#event = value;
    else if (name === "data") this.#data.push(value);
    return [];
  }

  #end() {
    const message = { event: this.#event || "message", data: this.#data.join("\n") };
    const any = this.#data.length > 0;
    this.#event = "";
    this.#data = [];
    return any ? [message] : [];
  }
}
