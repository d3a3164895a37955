/**
 * Making and changing elements.  Text goes in as text nodes and nothing else: what the API says comes
 * from the wire, and may look like markup.
 */

import { visible } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node|string|number|null|undefined|false|Child[]} Child */

/**
 * An element.  *attributes*: `class`, any attribute by its name (true for an empty one; null or false
 * for none), and `on`: listeners by event.
 *
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...Child} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  return /** @type {HTMLElement} */ (filled(document.createElement(tag), attributes, children));
}

/**
 * The same for SVG.
 *
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...Child} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
  return /** @type {SVGElement} */ (filled(document.createElementNS(SVG, tag), attributes, children));
}

/** @param {Element} node @param {Record<string, any>} attributes @param {Child[]} children */
function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (value !== null && value !== undefined && value !== false) {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  node.append(...nodes(children));
  return node;
}

/** @param {Child[]} children @returns {(Node|string)[]} */
function nodes(children) {
  return children
    .flat(9)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : visible(String(child))));
}

/** Everything in *node* anew. @param {Element} node @param {...Child} children */
export function fill(node, ...children) {
  node.replaceChildren(...nodes(children));
}

/** Set a text only where it differs, so that nothing is laid out anew for nothing.
 * @param {Element} node @param {string} text */
export function setText(node, text) {
  const shown = visible(text);
  if (node.textContent !== shown) node.textContent = shown;
}

/** @param {Element} node @param {string} name @param {string|null} value null: take it away */
export function setAttribute(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** A style by script, which the page's policy allows, other than a `style` attribute.
 * @param {HTMLElement|SVGElement} node @param {string} name @param {string} value */
export function setStyle(node, name, value) {
  if (node.style.getPropertyValue(name) !== value) node.style.setProperty(name, value);
}

/** @param {string} id @returns {HTMLElement} */
export function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/**
 * Bring *parent*'s children into the order of *wanted* with as few moves as can be, and take away those
 * that are not in it.  The focus stays where it is.
 *
 * @param {Element} parent @param {Element[]} wanted
 */
export function arrange(parent, wanted) {
  const focused = /** @type {HTMLElement|null} */ (document.activeElement);
  const staying = new Set(wanted);
  for (const child of [...parent.children]) if (!staying.has(child)) child.remove();
  const places = new Map([...parent.children].map((child, place) => [child, place]));
  const still = rising(wanted.map((child) => places.get(child) ?? -1));
  let next = null;
  for (let place = wanted.length - 1; place >= 0; place -= 1) {
    if (!still.has(place)) parent.insertBefore(wanted[place], next);
    next = wanted[place];
  }
  if (focused && parent.contains(focused) && document.activeElement !== focused) focused.focus();
}

/**
 * Where in *values* its longest rising sequence stands (patience sorting); below 0 counts as absent.
 *
 * @param {number[]} values @returns {Set<number>}
 */
export function rising(values) {
  /** The place of the smallest end of a sequence of each length. @type {number[]} */
  const ends = [];
  const before = new Int32Array(values.length).fill(-1);
  values.forEach((value, place) => {
    if (value < 0) return;
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[ends[middle]] < value) low = middle + 1;
      else high = middle;
    }
    before[place] = low ? ends[low - 1] : -1;
    ends[low] = place;
  });
  const found = new Set();
  for (let place = ends.at(-1) ?? -1; place >= 0; place = before[place]) found.add(place);
  return found;
}

/** For those who cannot see the page: one sentence, said when there is time. @param {string} text */
export function say(text) {
  setText(byId("said"), text);
}
