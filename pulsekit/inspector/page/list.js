// The list of messages. Only the visible rows are elements, so that a hundred thousand rows cost no more than fifty.
//
// `rows` has all rows in the order of their numbers. The element of a visible row is kept in `shown` under its number,
// and is moved and not made again while it is visible. The list follows the newest row while it is scrolled to the end.

import { clean, find, make, number, size } from "./dom.js";

const MARGIN = 5; // rows above and below the visible ones

export class List {
  constructor(onSelect) {
    this.rows = [];
    this.selected = null; // the number of a row
    this.box = find("list");
    this.field = find("rows");
    this.shown = new Map();
    this.widths = {}; // of columns, in characters
    this.onSelect = onSelect;
    this.waiting = false;
    this.follows = true;
    this.top = 0; // the scroll position at the last drawing or scroll event
    this.box.addEventListener("scroll", () => this.onScroll());
    this.box.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  get height() {
    return parseFloat(getComputedStyle(this.box).getPropertyValue("--row"));
  }

  /** Append rows, and remove the rows before the number `first`, which the server has dropped. */
  add(rows, first) {
    for (const row of rows) {
      this.rows.push(row);
      this.widen("exchange", row.e ? short(row.e).length : 0, 30);
      this.widen("job", row.job ? jobWords(row.job).length : 0, 24);
    }
    this.removeBefore(first);
    this.draw();
  }

  /** Widen a column for a longer text, up to a number of characters. No column narrows. */
  widen(column, length, most) {
    const wanted = Math.min(length, most);
    if (wanted <= (this.widths[column] ?? 0)) return;
    this.widths[column] = wanted;
    this.box.style.setProperty(`--${column}`, `${wanted}ch`);
  }

  /** How many rows are messages and not gaps. */
  get messages() {
    return this.rows.reduce((count, row) => count + (row.gap ? 0 : 1), 0);
  }

  removeBefore(first) {
    const gone = this.index(first);
    if (gone === 0) return;
    this.rows.splice(0, gone);
    if (!this.follows) this.box.scrollTop -= gone * this.height;
    this.draw();
  }

  clear() {
    this.rows = [];
    this.follows = true;
    this.draw();
  }

  /** Return the index of the first row whose number is at least `wanted`. */
  index(wanted) {
    let [low, high] = [0, this.rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].n < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  select(at) {
    const row = this.rows[Math.max(0, Math.min(at, this.rows.length - 1))];
    if (!row) return;
    this.selected = row.n;
    this.stretch(); // rows may have been added that are not drawn yet
    const [top, height] = [this.index(row.n) * this.height, this.height];
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    else if (top + height > this.box.scrollTop + this.box.clientHeight) {
      this.box.scrollTop = top + height - this.box.clientHeight;
    }
    this.draw();
    this.onSelect(row);
  }

  onKey(event) {
    const page = Math.max(1, Math.floor(this.box.clientHeight / this.height) - 1);
    const at = this.selected === null ? this.rows.length : this.index(this.selected);
    const steps = { ArrowUp: at - 1, ArrowDown: at + 1, PageUp: at - page, PageDown: at + page, Home: 0,
      End: this.rows.length - 1 };
    if (event.ctrlKey || event.altKey || event.metaKey || !(event.key in steps)) return;
    event.preventDefault();
    this.select(steps[event.key]);
    this.follows = event.key === "End" || this.index(this.selected) === this.rows.length - 1;
  }

  /** Follow the newest row at the end, and stop if the user scrolls up. A box that gets lower is no reason to stop. */
  onScroll() {
    const { scrollTop, clientHeight } = this.box;
    const atEnd = scrollTop + clientHeight >= this.field.clientHeight - 1; // positions can be fractions of a pixel
    this.follows = atEnd || (this.follows && scrollTop >= this.top);
    this.top = scrollTop;
    this.draw();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.drawNow();
    });
  }

  /** Make the field as high as all rows, because a box cannot be scrolled beyond its field. */
  stretch() {
    this.field.style.height = `${this.rows.length * this.height}px`;
  }

  drawNow() {
    const height = this.height;
    this.stretch();
    if (this.follows) this.box.scrollTop = this.rows.length * height;
    this.top = this.box.scrollTop;
    const from = Math.max(0, Math.floor(this.box.scrollTop / height) - MARGIN);
    const to = Math.min(this.rows.length, Math.ceil((this.box.scrollTop + this.box.clientHeight) / height) + MARGIN);
    const visible = new Set(this.rows.slice(from, to).map((row) => row.n));
    for (const [key, element] of this.shown) {
      if (visible.has(key)) continue;
      element.remove();
      this.shown.delete(key);
    }
    for (let at = from; at < to; at++) {
      const row = this.rows[at];
      let element = this.shown.get(row.n);
      if (!element) {
        element = draw(row);
        element.addEventListener("mousedown", () => this.select(this.index(row.n)));
        this.shown.set(row.n, element);
        this.field.append(element);
      }
      element.style.transform = `translateY(${at * height}px)`;
      element.setAttribute("aria-selected", String(row.n === this.selected));
      element.setAttribute("aria-posinset", at + 1);
      element.setAttribute("aria-setsize", this.rows.length);
    }
    const current = this.shown.get(this.selected);
    if (current) this.box.setAttribute("aria-activedescendant", current.id);
    else this.box.removeAttribute("aria-activedescendant");
  }
}

function draw(row) {
  const common = { role: "option", id: `row-${row.n}` };
  if (row.gap) return make("div", { ...common, class: "row gap" }, make("span", {}, gapWords(row.gap)));
  const cell = (kind, text) => make("span", { class: kind, title: clean(text) }, text);
  const cells = [
    cell("time dim", new Date(row.t).toISOString().slice(11, 23)),
    cell("exchange", short(row.e)),
    cell("key", row.k),
  ];
  cells.push(row.job ? cell(`job ${tone(row.job[1])}`, jobWords(row.job)) : cell("job", ""));
  cells.push(cell("name dim", row.job ? row.job[2] : ""));
  cells.push(cell("marks warn", [row.again ? "again" : "", row.cc ? `+${row.cc} CC` : ""].join(" ").trim()));
  if (row.bad) cells.push(cell("bad verdict", row.bad.startsWith("not JSON") ? row.bad : "invalid"));
  else cells.push(cell("good verdict", row.ok ? "valid" : ""));
  cells.push(cell("size", size(row.s)));
  return make("div", { ...common, class: "row" }, cells);
}

const short = (exchange) => exchange.replace(/^exchange\//, "");
const jobWords = ([symbol, status]) => `${symbol} ${status}`;

/** Return the class of a job's status. */
export function tone(status) {
  if (status === "success") return "good symbol";
  return /fail|busted|exception/.test(status) ? "bad symbol" : "warn symbol";
}

/** Return what a gap means, as text. */
export function gapWords(gap) {
  const lost = gap.lossy ? "messages of this time are missing" : "no message of this time is missing";
  return `No connection for ${number(gap.seconds)} s: ${lost}, from ${gap.from} to ${gap.to}`;
}
