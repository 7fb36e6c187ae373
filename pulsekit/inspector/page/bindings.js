// The bindings: in the address of the page in the form of Pulse Inspector, as a list with the state of each, and a form.

import * as api from "./api.js";
import { clean, find, make } from "./dom.js";

const NAME = /^bindings\[(\d+)\]\[(exchange|pattern|routingKeyPattern)\]$/;
const drawn = { text: "" };

/** Return the bindings in the address. */
export function inAddress() {
  const found = {};
  for (const [name, value] of new URLSearchParams(location.search)) {
    const match = NAME.exec(name);
    if (match) (found[match[1]] ??= { pattern: "#" })[match[2] === "exchange" ? "exchange" : "pattern"] = value;
  }
  return Object.values(found).filter((one) => one.exchange);
}

function address(bindings) {
  const parts = bindings.flatMap((one, at) => [
    [`bindings[${at}][exchange]`, one.exchange],
    [`bindings[${at}][pattern]`, one.pattern],
  ]);
  return `${location.pathname}${parts.length ? `?${new URLSearchParams(parts)}` : ""}${location.hash}`;
}

/** Show the bindings, and keep them in the address. */
export function show(bindings, onChange) {
  const text = JSON.stringify(bindings);
  if (drawn.text === text) return;
  drawn.text = text;
  history.replaceState(null, "", address(bindings));
  find("bindings").replaceChildren(...bindings.map((one) => {
    const name = `${one.exchange}:${one.pattern}`;
    return make("li", { class: one.problem ? "bad" : "" }, make("span", { class: "mono" }, name),
      one.problem ? make("span", { class: "bad" }, one.problem) : make("span", { class: "good" }, "bound"),
      make("button", { type: "button", "aria-label": `Remove ${clean(name)}`,
        onclick: () => onChange({ ...one, remove: true }) }, "Remove"));
  }));
}

/** Fill the completion of the form, and call `onAdd` with each new binding. */
export async function prepare(onAdd) {
  const known = await api.json("/api/exchanges");
  find("exchanges").append(...known.map((one) => make("option", { value: one.alias }, `${one.exchange}: ${one.title}`)));
  const byName = new Map(known.flatMap((one) => [[one.alias, one], [one.exchange, one]]));
  find("exchange").addEventListener("input", (event) => {
    const one = byName.get(event.target.value.trim());
    find("layout").textContent = one ? `${one.exchange}, keys ${one.key}` : "";
  });
  find("bind").addEventListener("submit", async (event) => {
    event.preventDefault();
    const pattern = find("pattern").value;
    const added = await onAdd({ exchange: find("exchange").value, pattern: pattern || "#" });
    if (added && find("pattern").value === pattern) find("pattern").value = ""; // it may have the next one already
  });
}
