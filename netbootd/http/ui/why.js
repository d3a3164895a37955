/** What is said to "why does it not boot?". */

import { el, fill, setStyle } from "./dom.js";
import { moment, stageWord } from "./words.js";

/** @typedef {import("./types.js").Diagnosis} Diagnosis */
/** @typedef {import("./types.js").Cause} Cause */

/** Show *diagnosis* in *place*, which is hidden where nothing is wrong.
 * @param {HTMLElement} place @param {Diagnosis|null} diagnosis */
export function showWhy(place, diagnosis) {
  const causes = diagnosis?.causes ?? [];
  place.hidden = !diagnosis || (!causes.length && !diagnosis.missing);
  if (place.hidden || !diagnosis) return fill(place);
  fill(
    place,
    el("h2", {}, "Why"),
    standing(diagnosis),
    el("ol", { class: "causes" }, ...causes.map(cause)),
    causes.length ? null : el("p", {}, "Nothing that is known fits. The lines below tell all that was seen."),
  );
}

/** @param {Diagnosis} diagnosis */
function standing({ reached, at, missing }) {
  const came = reached ? [`It came as far as `, el("b", {}, stageWord(reached)), at ? ` at ${moment(at)}` : ""] : ["It was not seen to begin"];
  const lacks = missing ? ["; what should have come and did not: ", el("b", {}, missing)] : [];
  return el("p", { class: "standing" }, came, lacks, ".");
}

/** @param {Cause} one @param {number} place */
function cause(one, place) {
  const meter = el("span", { class: "confidence", title: "how sure this is" }, `${one.confidence} %`);
  setStyle(meter, "--part", String(one.confidence / 100));
  const facts = one.because.map((fact) => el("li", {}, fact));
  return el(
    "li",
    { "data-code": one.code },
    el("p", { class: "sentence" }, el(place ? "span" : "strong", {}, one.sentence), " ", meter),
    one.advice ? el("p", { class: "advice" }, el("b", {}, "To do: "), one.advice) : null,
    facts.length
      ? el("details", place ? {} : { open: true }, el("summary", {}, `Because (${facts.length})`), el("ul", {}, ...facts))
      : null,
  );
}
