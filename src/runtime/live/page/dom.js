/** Making elements, and changing only what has changed. Texts are texts: nothing from the server is ever read as HTML. */

const SVG = 'http://www.w3.org/2000/svg';

/** @param {string} tag
 *  @param {Record<string, string | boolean | undefined>} [attributes] `false` and undefined: none
 *  @param {...(Node | string)} children
 *  @returns {HTMLElement} */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same in SVG.
 *  @param {string} tag
 *  @param {Record<string, string | boolean | undefined>} [attributes]
 *  @param {...(Node | string)} children
 *  @returns {SVGElement} */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** @template {Element} E
 *  @param {E} element
 *  @param {Record<string, string | boolean | undefined>} attributes
 *  @param {readonly (Node | string)[]} children */
function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** @param {Node} node
 *  @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** @param {Element} element
 *  @param {string} name
 *  @param {string} value */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Makes the rows of a list as many as there are items, and updates each.
 *  @template Item
 *  @param {Element} parent
 *  @param {readonly Item[]} items
 *  @param {() => Element} make
 *  @param {(row: Element, item: Item, index: number) => void} update */
export function setRows(parent, items, make, update) {
  while (parent.children.length > items.length) parent.lastElementChild?.remove();
  while (parent.children.length < items.length) parent.append(make());
  for (const [i, item] of items.entries()) update(/** @type {Element} */ (parent.children[i]), item, i);
}

/** An element of the page.
 *  @param {string} id
 *  @returns {HTMLElement} */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return element;
}
