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
 * Bring *parent*'s children into the order of *wanted* with as few moves as come by themselves, and
 * take away those that are not in it.  The focus stays where it is.
 *
 * @param {Element} parent @param {Element[]} wanted
 */
export function arrange(parent, wanted) {
  const staying = new Set(wanted);
  for (const child of [...parent.children]) if (!staying.has(child)) child.remove();
  const focused = /** @type {HTMLElement|null} */ (document.activeElement);
  let next = parent.firstElementChild;
  for (const child of wanted) {
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
  if (focused && parent.contains(focused) && document.activeElement !== focused) focused.focus();
}

/** For those who cannot see the page: one sentence, said when there is time. @param {string} text */
export function say(text) {
  setText(byId("said"), text);
}
