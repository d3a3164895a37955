/** What was found in the configuration, and reloading it. */

import { ApiError, call, get } from "./api.js";
import { byId, el, fill, say, setText } from "./dom.js";
import { store } from "./store.js";
import { counted } from "./words.js";

/** @typedef {import("./types.js").Finding} Finding */

/** @param {Finding} finding */
function line({ level, code, text, file, line: row, column, path }) {
  const where = [file, row || "", row && column ? column : ""].filter(Boolean).join(":");
  return el(
    "li",
    { class: "finding", "data-level": level },
    el("span", { class: "level" }, level),
    el(
      "div",
      {},
      el("p", {}, text),
      el("p", { class: "where" }, el("code", {}, where), " ", el("span", { class: "hint" }, [code, path].filter(Boolean).join(" · "))),
    ),
  );
}

/** @param {string} title @param {Finding[]} findings @param {string} none */
function list(title, findings, none) {
  const lines = findings.length ? el("ul", { class: "findings" }, findings.map(line)) : el("p", { class: "empty" }, none);
  return el("div", { class: "panel" }, el("h2", {}, title), lines);
}

/** The page of the configuration, and the banner that says that a reload was refused. */
export function findings() {
  const told = byId("configuration-told");
  const banner = byId("refused");
  const count = byId("count-findings");
  const button = /** @type {HTMLButtonElement} */ (byId("reload"));
  const outcome = el("p", { class: "outcome", role: "status" });
  const rest = el("div");
  told.append(outcome, rest);
  let open = false;

  store.on("status", () => {
    const refused = store.status.refused ?? [];
    const many = Array.isArray(refused) ? refused.length : refused;
    banner.hidden = !many;
    count.hidden = !many;
    setText(count, String(many));
    const words = `The configuration on disk was refused: ${counted(many, "error")}. What was read before is still served. `;
    if (many && banner.dataset.words !== words) fill(banner, words, el("a", { href: "#/configuration" }, "See the configuration"));
    banner.dataset.words = many ? words : "";
  });
  store.on("reload", () => {
    if (open) void ask();
  });
  button.addEventListener("click", reload);

  async function ask() {
    try {
      draw(await get("/findings"));
    } catch (problem) {
      if (problem instanceof ApiError) setText(outcome, problem.message);
    }
  }

  /** @param {{generation: number, last_reload: string, refused: Finding[], findings: Finding[]}} answer */
  function draw(answer) {
    const troubles = store.status.troubles ?? [];
    fill(
      rest,
      el("p", {}, `Generation ${answer.generation} is served. The last reload: ${answer.last_reload}.`),
      troubles.length
        ? el("div", { class: "panel bad" }, el("h2", {}, "What cannot be served"), el("ul", {}, troubles.map((/** @type {string} */ text) => el("li", {}, text))))
        : null,
      answer.refused.length ? list("Why the last reload was refused", answer.refused, "") : null,
      list("Found in what is served", answer.findings, "Nothing. It is as it should be."),
    );
  }

  async function reload() {
    button.disabled = true;
    setText(outcome, "Reading and rehearsing …");
    outcome.className = "outcome";
    try {
      const { generation, changes } = await call("POST", "/reload");
      setText(outcome, `Reloaded: ${typeof changes === "string" ? changes : JSON.stringify(changes)}; generation ${generation}.`);
      outcome.classList.add("good");
    } catch (problem) {
      if (!(problem instanceof ApiError)) throw problem;
      setText(outcome, problem.message);
      outcome.classList.add("bad");
      say(problem.message);
    } finally {
      button.disabled = false;
      await ask();
    }
  }

  return {
    title: () => "Configuration",
    show() {
      open = true;
      setText(outcome, "");
      outcome.className = "outcome";
      void ask();
    },
    hide() {
      open = false;
    },
    tick() {},
  };
}
