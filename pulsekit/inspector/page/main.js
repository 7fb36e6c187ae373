// Start the page: exchange the token, listen to the stream of rows, and connect the tools with the list.

import * as api from "./api.js";
import * as bindings from "./bindings.js";
import * as details from "./details.js";
import { find, make, number } from "./dom.js";
import { List } from "./list.js";

const WORDS = {
  listening: ["Listening", "good"], reconnecting: ["Reconnecting to the broker", "bad"], idle: ["No binding", "bad"],
  reading: ["Reading the recording", "warn"], read: ["Recording", "good"],
};
const MESSAGE = /^#message-(\d+)$/;

const page = { stream: null, last: 0, paused: false, behind: 0, filter: "", missed: 0, state: null, rate: 0, alert: "" };
const list = new List((row) => {
  history.replaceState(null, "", `${location.pathname}${location.search}#message-${row.n}`);
  details.show(row, copy);
});
let rated = { messages: 0, at: performance.now() };
let linked = null; // the number of the message in the address

function alertUser(words) {
  page.alert = words;
  find("alert").textContent = words;
  find("alert").hidden = !words;
}

function listen() {
  page.stream?.close();
  const stream = new EventSource(`/api/events?after=${page.last}&filter=${encodeURIComponent(page.filter)}`);
  page.stream = stream;
  stream.addEventListener("rows", (event) => onRows(JSON.parse(event.data), Number(event.lastEventId)));
  stream.addEventListener("state", (event) => onState(JSON.parse(event.data)));
  stream.onerror = () => {
    const ended = stream.readyState === EventSource.CLOSED;
    setStatus(ended ? "pulsekit inspector was stopped" : "pulsekit inspector does not answer", "bad");
    if (ended) alertUser("Run pulsekit inspector again, and open the address that it prints.");
  };
}

function onRows(batch, last) {
  if (page.paused) {
    page.behind += batch.rows.length + batch.missed;
  } else {
    page.last = last;
    page.missed += page.filter ? 0 : batch.missed;
    list.add(batch.rows, batch.first);
    followLink();
  }
  showCounts();
}

function onState(state) {
  const first = page.state === null;
  page.state = state;
  const [words, kind] = WORDS[state.state];
  setStatus(state.problem ? `${words}: ${state.problem}` : words, state.problem ? "bad" : kind);
  find("title").textContent = state.live ? `Pulse messages for ${state.name}` : state.name;
  document.title = `${state.live ? "Pulse messages" : state.name} – pulsekit`;
  find("bound").hidden = !state.live;
  if (!page.paused) list.removeBefore(state.first);
  const now = performance.now();
  page.rate = (1000 * (state.messages - rated.messages)) / Math.max(1, now - rated.at);
  rated = { messages: state.messages, at: now };
  if (first && state.live) addFromAddress(state.bindings);
  else if (state.live) bindings.show(state.bindings, change);
  showCounts();
}

async function addFromAddress(known) {
  const missing = bindings.inAddress().filter((one) =>
    !known.some((other) => other.exchange === one.exchange && other.pattern === one.pattern));
  for (const one of missing) await change(one);
  bindings.show(page.state.bindings, change);
}

function setStatus(words, kind) {
  find("status").textContent = words;
  find("status").className = kind;
}

function showCounts() {
  const state = page.state;
  if (state === null) return;
  const parts = [`${number(list.messages)} shown of ${number(state.messages)}`];
  if (state.live) parts.push(`${number(Math.round(page.rate))}/s`);
  if (state.dropped) parts.push(`${number(state.dropped)} dropped from memory`);
  if (page.missed) parts.push(`${number(page.missed)} missed: they arrive faster than this page shows them`);
  if (state.filter) parts.push(state.filter);
  find("counts").textContent = parts.join(" · ");
  find("pause").textContent = page.paused ? `Resume (${number(page.behind)} new)` : "Pause";
}

setInterval(() => {
  if (performance.now() - rated.at < 2500 || page.rate === 0) return;
  page.rate = 0;
  showCounts();
}, 1000);

/** Add or remove a binding. Return whether it worked. */
async function change(binding) {
  try {
    const response = await api.post("/api/bindings", binding);
    onState(await response.json());
    alertUser("");
    return true;
  } catch (error) {
    alertUser(error.message);
    return false;
  }
}

function pause(paused) {
  page.paused = paused;
  page.behind = 0;
  find("pause").setAttribute("aria-pressed", String(paused));
  if (!paused) listen();
  showCounts();
}

async function applyFilter() {
  const chosen = find("filter").value.trim();
  try {
    await api.text(`/api/command?filter=${encodeURIComponent(chosen)}`);
  } catch (error) {
    alertUser(error.message);
    return;
  }
  alertUser("");
  Object.assign(page, { filter: chosen, last: 0, missed: 0 });
  find("download").href = `/api/recording?filter=${encodeURIComponent(chosen)}`;
  list.clear();
  if (page.paused) pause(false);
  else listen();
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    setStatus(`Copied ${what}`, "good");
  } catch {
    const area = make("textarea", { "aria-label": "Text to copy", readonly: "" }, "");
    area.value = text;
    find("alert").replaceChildren("This browser does not let the page copy. Copy the text: ", area);
    find("alert").hidden = false;
    area.select();
  }
}

/** Select the message in the address once it is in the list. */
function followLink() {
  if (linked === null || !list.rows.length || list.rows.at(-1).n < linked) return;
  const at = list.index(linked);
  if (list.rows[at].n === linked) {
    list.follows = false;
    list.select(at);
  } else alertUser(`Message ${linked} is no longer in memory.`);
  linked = null;
}

function readLink() {
  const match = MESSAGE.exec(location.hash);
  linked = match ? Number(match[1]) : null;
}

async function logIn() {
  readLink();
  if (!location.hash || linked !== null) return;
  const token = location.hash.slice(1);
  history.replaceState(null, "", location.pathname + location.search);
  // After a reload of the printed address, the token was used, and the cookie is there.
  await api.post("/api/login", { token }).catch(async (error) => {
    await api.json("/api/exchanges").catch(() => { throw error; });
  });
}

const themes = ["system", "light", "dark"];
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  find("theme").textContent = `Colours: ${theme}`;
  localStorage.setItem("theme", theme);
}

function connectTools() {
  find("pause").onclick = () => pause(!page.paused);
  find("clear").onclick = async () => {
    const response = await api.post("/api/clear", {}).catch((error) => alertUser(error.message));
    if (!response) return;
    list.clear();
    page.missed = 0;
    onState(await response.json());
  };
  find("search").onsubmit = (event) => {
    event.preventDefault();
    applyFilter();
  };
  find("filter").addEventListener("search", () => find("filter").value || applyFilter());
  find("copy-tail").onclick = async () =>
    copy(await api.text(`/api/command?filter=${encodeURIComponent(page.filter)}`), "the command");
  find("theme").onclick = () =>
    setTheme(themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length]);
  find("list").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "p") pause(!page.paused);
    else if (event.key === "/") find("filter").focus();
    else if (event.key === "Enter") details.focus();
    else return;
    event.preventDefault();
  });
  find("details").addEventListener("keydown", (event) => {
    if (event.key === "Escape") find("list").focus();
  });
  window.addEventListener("hashchange", () => {
    readLink();
    if (linked === null) location.reload(); // the address of another run, with its token
    else followLink();
  });
}

setTheme(themes.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "system");
connectTools();
try {
  await logIn();
  await bindings.prepare(change);
  listen();
} catch (error) {
  setStatus("Not connected", "bad");
  alertUser(error.message);
}
