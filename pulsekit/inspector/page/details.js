// All details of one message.

import * as api from "./api.js";
import { clean, find, make, size } from "./dom.js";
import { gapWords, tone } from "./list.js";

const FORMS = { json: "JSON", yaml: "YAML", raw: "Raw" };
let form = "json";
let wanted = null; // the number of the message that was asked for last
let shown = null; // the number of the message that is shown
let focuses = false; // whether the heading gets the focus once the wanted message is shown

/** Show the details of a row. */
export async function show(row, copy) {
  wanted = row.n;
  if (row.gap) return replace(row.n, [heading("Gap"), make("p", {}, gapWords(row.gap))]);
  let message;
  try {
    message = await api.json(`/api/messages/${row.n}`);
  } catch (error) {
    return replace(row.n, [heading("No details"), make("p", { class: "bad" }, error.message)]);
  }
  replace(row.n, sections(message, copy).filter(Boolean));
  if (shown === row.n) await showPayload(message);
}

/** Move the focus to the details of the selected message, now or when they arrive. */
export function focus() {
  focuses = shown !== wanted;
  if (!focuses) find("heading")?.focus();
}

const heading = (text) => make("h2", { id: "heading", tabindex: -1 }, text);

function replace(number, parts) {
  if (wanted !== number) return;
  shown = number;
  find("details").replaceChildren(...parts);
  find("details").scrollTop = 0;
  if (focuses) focus();
}

function sections(message, copy) {
  const matched = new Map(message.matched.map((one) => [one.key, one]));
  const keys = [message.routing_key, ...message.cc];
  const fields = [
    ["Exchange", message.exchange],
    ["Routing key", keyWords(message.routing_key, matched)],
    ...message.cc.map((key) => ["CC", keyWords(key, matched)]),
    ...Object.entries(message.key ?? {}).map(([name, value]) => [name, value]),
    ["Received", message.received],
    ["Redelivered", message.redelivered ? "yes" : "no"],
    ["Size", `${size(message.size)}${message.text ? "" : ", not text"}`],
    ...Object.entries(message.properties).map(([name, value]) => [name, plain(value)]),
    ...Object.entries(message.headers)
      .filter(([name]) => name !== "CC")
      .map(([name, value]) => [`header ${name}`, plain(value)]),
  ];
  if (message.unreadable) fields.push(["Headers", message.unreadable]);
  return [
    heading(keys[0] || "(the empty key)"),
    make("div", { class: "buttons" },
      make("button", { type: "button", onclick: () => copyPayload(message, copy) }, "Copy payload"),
      make("a", { class: "button", href: `/api/recording?only=${message.n}`, download: "messages.ndjson" },
        "Download message"),
      make("button", { type: "button", onclick: () => copy(message.publish, "the command") }, "Copy as publish"),
      make("button", { type: "button", onclick: () => copy(linkTo(message.n), "the link") }, "Copy link")),
    list(fields),
    verdict(message),
    ...(message.treeherder ?? []).map(treeherder),
    make("h3", {}, "Matched by"),
    reasons(message.matched, "No current binding matches: a removed binding or a BCC key did."),
    make("h3", {}, "Who else would receive it"),
    reasons(message.receivers, "No configured queue, and not Treeherder."),
    make("h3", { id: "payload-heading" }, "Payload"),
    tabs(message),
    make("pre", { id: "payload", role: "tabpanel", tabindex: 0, "aria-labelledby": `tab-${form}` }),
  ];
}

const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

const keyWords = (key, matched) => (matched.has(key) ? `${key}  ← ${matched.get(key).binding}` : key);

const list = (pairs) =>
  make("dl", {}, pairs.flatMap(([name, value]) => [make("dt", {}, name), make("dd", { class: "mono" }, value)]));

const bullets = (texts) => make("ul", {}, texts.map((one) => make("li", {}, one)));

function reasons(found, none) {
  if (!found.length) return make("p", { class: "dim" }, none);
  return bullets(found.map((one) => `${one.name ? `${one.name}: ` : ""}${one.binding} matches ${one.key} (${one.words})`));
}

function verdict(message) {
  if (message.problem) return make("p", { class: "bad verdict" }, `The body is not JSON: ${message.problem}`);
  if (!message.schema) return null;
  const { name, problems } = message.schema;
  if (!problems.length) return make("p", { class: "good verdict" }, `Valid: ${name}`);
  return make("div", { class: "verdict" }, make("p", { class: "bad" }, `Invalid: ${name}`), bullets(problems));
}

function treeherder(verdict) {
  const job = verdict.job;
  const parts = [make("h3", {}, `Treeherder: ${verdict.outcome}`)];
  if (job) {
    const symbol = make("span", { class: tone(job.status) }, job.symbol);
    parts.push(
      make("p", { class: "dim" }, `${job.project} ${job.revision.slice(0, 12)}`),
      make("p", { class: "platform" }, make("span", {}, job.platform),
        make("span", {}, job.group ? `${job.group}(` : "", symbol, job.group ? ")" : ""),
        make("span", {}, job.status)),
      list(job.fields),
      ...job.links.map(([label, name, url, use]) => list([[label, `${name} (${use}): ${url}`]])));
  }
  if (verdict.push) parts.push(list(Object.entries(verdict.push).map(([name, value]) => [name, String(value)])));
  const found = verdict.findings.map((one) =>
    `${one.severity}: ${one.pointer || "payload"}: ${one.message}${one.hint ? ` (${one.hint})` : ""}`);
  if (found.length || verdict.problems.length) parts.push(bullets([...verdict.problems, ...found]));
  if (verdict.assumptions.length) parts.push(make("p", { class: "dim" }, `If ${verdict.assumptions.join(", and ")}.`));
  return make("section", { class: "treeherder", "aria-label": "Treeherder" }, parts);
}

function tabs(message) {
  const bar = make("div", { role: "tablist", "aria-labelledby": "payload-heading", class: "buttons" });
  for (const [name, label] of Object.entries(FORMS)) {
    bar.append(make("button", {
      type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "payload", "aria-selected": name === form,
      tabindex: name === form ? 0 : -1, onclick: () => choose(name, message),
    }, label));
  }
  bar.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const names = Object.keys(FORMS);
    choose(names[(names.indexOf(form) + step + names.length) % names.length], message);
    find(`tab-${form}`).focus();
  });
  return bar;
}

function choose(name, message) {
  form = name;
  for (const other of Object.keys(FORMS)) {
    find(`tab-${other}`).setAttribute("aria-selected", String(other === name));
    find(`tab-${other}`).tabIndex = other === name ? 0 : -1;
  }
  find("payload").setAttribute("aria-labelledby", `tab-${name}`);
  return showPayload(message);
}

async function showPayload(message) {
  const [asked, number] = [message.problem ? "raw" : form, message.n];
  const text = await api.text(`/api/messages/${number}/${asked}`).catch((error) => error.message);
  if (wanted === number && (message.problem || asked === form)) find("payload").textContent = clean(text);
}

async function copyPayload(message, copy) {
  const text = await api.text(`/api/messages/${message.n}/${message.problem ? "raw" : form}`).catch((error) => {
    if (wanted === message.n) find("payload").textContent = error.message;
  });
  if (text !== undefined) copy(text, "the payload");
}

/** Return the address of a message while this server runs. */
function linkTo(number) {
  return `${location.origin}${location.pathname}${location.search}#message-${number}`;
}
