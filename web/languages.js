/* languages.js: which languages are shown and in which order, chosen by the person and remembered.
 *
 * What is stored is what was switched off, what was pinned and the order that was made, so that a
 * language added to the service later appears by itself, behind the others. A stored tag that is
 * not served now is kept: it may come back.
 */
import { languageName, t, titled } from './strings.js';

const KEY = 'hydraglot.languages';

/** A key of localStorage, or null where storage is forbidden. */
export function recall(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

export function remember(key, value) {
  try { localStorage.setItem(key, value); } catch { /* only this visit knows it, then */ }
}

function recallChoice() {
  try {
    const { off, pinned, order, read } = JSON.parse(recall(KEY));
    return { off: new Set(off), pinned: new Set(pinned), order: [...order], read: new Set(read) };
  } catch { /* nothing, or not what we wrote */
    return { off: new Set(), pinned: new Set(), order: [], read: new Set() };
  }
}

/** The source that most languages take, while a session may offer languages of several. */
export function commonSource(languages) {
  const count = new Map();
  for (const { sources } of languages) {
    for (const tag of sources) count.set(tag, (count.get(tag) ?? 0) + 1);
  }
  return [...count].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'auto';
}

/** The person's choice among what is offered. */
export class Choice {
  #off;
  #order;
  #read; /* tags whose texts are shown in Latin letters too */
  #offered = [];

  constructor() {
    ({ off: this.#off, pinned: this.pinned, order: this.#order, read: this.#read }
      = recallChoice());
  }

  /** @param {object[]} languages of session.ready that take the source */
  offer(languages) { this.#offered = languages; }

  /** A shared link's languages: these, in this order, and no other. Not remembered till changed. */
  share(tags) {
    this.#off = new Set(this.#offered.map(({ tag }) => tag).filter((tag) => !tags.includes(tag)));
    this.#order = tags;
    this.pinned = new Set();
  }

  get offered() { return this.#offered; }

  isOn(tag) { return !this.#off.has(tag); }

  /** The languages that are on: the pinned first, each part in the person's order. */
  get selected() {
    const rank = ({ tag }) => {
      const at = this.#order.indexOf(tag);
      return (this.pinned.has(tag) ? 0 : 1e6) + (at < 0 ? 1e3 : at);
    };
    return this.#offered.filter(({ tag }) => this.isOn(tag)).sort((a, b) => rank(a) - rank(b));
  }

  toggle(tag, on) {
    if (on) this.#off.delete(tag);
    else this.#off.add(tag);
    this.#keep();
  }

  pin(tag) {
    if (!this.pinned.delete(tag)) this.pinned.add(tag);
    this.#keep();
  }

  /** The languages that are on and are to be read in Latin letters. */
  get read() {
    return new Set(this.selected.filter(({ tag, reading }) => reading && this.#read.has(tag))
      .map(({ tag }) => tag));
  }

  /** Shows a language's texts in Latin letters too, or no longer. */
  toggleRead(tag) {
    if (!this.#read.delete(tag)) this.#read.add(tag);
    this.#keep();
  }

  /** Moves a language by so many places among those that are on. */
  move(tag, by) {
    const other = this.selected.map((language) => language.tag);
    const at = other.indexOf(tag);
    this.place(tag, other[at + by]);
  }

  /** Puts a language where another one is; pinned and not pinned stay apart, so it may change. */
  place(tag, there) {
    const order = this.selected.map((language) => language.tag);
    const to = order.indexOf(there);
    if (to < 0) return;
    if (this.pinned.has(there)) this.pinned.add(tag);
    else this.pinned.delete(tag);
    order.splice(order.indexOf(tag), 1);
    order.splice(to, 0, tag);
    this.#order = order;
    this.#keep();
  }

  #keep() {
    const { pinned } = this;
    const [off, read] = [[...this.#off], [...this.#read]];
    remember(KEY, JSON.stringify({ off, pinned: [...pinned], order: this.#order, read }));
  }
}

/** The button and its panel of boxes to tick. */
export class Picker {
  #choice;
  #button;
  #words;
  #panel;
  #changed;

  constructor({ choice, button, words, panel, changed }) {
    this.#choice = choice;
    this.#button = button;
    this.#words = words;
    this.#panel = panel;
    this.#changed = changed;
    button.addEventListener('click', () => this.#open(panel.hidden));
    document.addEventListener('pointerdown', ({ target }) => {
      if (!panel.hidden && !panel.parentElement.contains(target)) this.#open(false);
    });
    panel.parentElement.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || panel.hidden) return;
      this.#open(false);
      button.focus();
    });
    panel.parentElement.addEventListener('focusout', ({ relatedTarget }) => {
      if (relatedTarget && !panel.parentElement.contains(relatedTarget)) this.#open(false);
    });
  }

  /** The choice has changed elsewhere, or other languages are offered. */
  draw() {
    this.#panel.replaceChildren(...this.#choice.offered.map((language) => this.#row(language)));
    this.#count();
  }

  #row(language) {
    const { tag, native, direction } = language;
    const label = document.createElement('label');
    const box = document.createElement('input');
    const own = document.createElement('span');
    const name = document.createElement('span');
    box.type = 'checkbox';
    box.value = tag;
    box.checked = this.#choice.isOn(tag);
    own.textContent = titled(native, tag);
    own.lang = tag;
    own.dir = direction;
    name.textContent = languageName(language);
    name.className = 'english';
    box.addEventListener('change', () => {
      this.#choice.toggle(tag, box.checked);
      this.#count();
      this.#changed();
    });
    label.append(box, own, name);
    return label;
  }

  #count() {
    const all = this.#choice.offered.length;
    const on = this.#choice.selected.length;
    this.#words.textContent = on === all ? t('{n} languages', { n: all })
      : t('{on} of {n} languages', { on, n: all });
  }

  #open(open) {
    this.#panel.hidden = !open;
    this.#button.setAttribute('aria-expanded', String(open));
  }
}
