// Elements made of text only. No function here, and none elsewhere, parses HTML: the policy of the page forbids it.

// Control and bidi characters, line separators and lone surrogates: they would change how the text around them looks.
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udfff](?![\udc00-\udfff])(?<![\ud800-\udbff][\udc00-\udfff])/g;

/** Return a text with each unsafe character as an escape such as \u202e. Line breaks and tabs stay. */
export function clean(text) {
  return String(text).replace(UNSAFE, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Return an element with attributes, properties that begin with a dot, and listeners that begin with "on". */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().map((child) => (child instanceof Node ? child : clean(child))));
  return element;
}

export const find = (id) => document.getElementById(id);

export const number = (value) => value.toLocaleString("en");

export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1000).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
