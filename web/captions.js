/* captions.js: large print for a meeting room: a column for each pinned language, else for the
 * first two.
 *
 * A column has two places, and sentences take them in turns: a new sentence stands where the oldest
 * stood, and the one just read stays where it is, dimmed. So nothing ever moves up the wall.
 */
import { GrowingText, Frame } from './text.js';
import { recall, remember } from './languages.js';
import { titled } from './strings.js';

const KEY = 'hydraglot.captions.size';
const SIZES = [28, 36, 46, 58, 72, 90];
const COLUMNS = 3;

export class Captions {
  #root;
  #columns = new Map(); /* tag: [place, place] */
  #frame = new Frame();
  #size = Math.min(SIZES.length - 1, Math.max(0, Number(recall(KEY) ?? 2)));
  #turn = 0;
  #sentence = null;

  /** @param {HTMLElement} root has .columns, .smaller and .larger */
  constructor(root) {
    this.#root = root;
    const step = (by) => () => this.resize(by);
    root.querySelector('.smaller').addEventListener('click', step(-1));
    root.querySelector('.larger').addEventListener('click', step(1));
    this.resize(0);
  }

  resize(by) {
    this.#size = Math.min(SIZES.length - 1, Math.max(0, this.#size + by));
    this.#root.style.setProperty('--print', `${SIZES[this.#size]}px`);
    this.#root.querySelector('.smaller').disabled = this.#size === 0;
    this.#root.querySelector('.larger').disabled = this.#size === SIZES.length - 1;
    remember(KEY, String(this.#size));
    for (const places of this.#columns.values()) for (const { text } of places) text.reflow();
  }

  /** @param {object[]} selected languages in order @param {Set<string>} pinned tags */
  arrange(selected, pinned) {
    const first = selected.filter(({ tag }) => pinned.has(tag)).slice(0, COLUMNS);
    const shown = first.length ? first : selected.slice(0, 2);
    const tags = shown.map(({ tag }) => tag);
    if (tags.join() === [...this.#columns.keys()].join()) return;
    const kept = this.#columns;
    this.#columns = new Map(shown.map((language) => [language.tag,
      kept.get(language.tag) ?? this.#column(language)]));
    this.#root.querySelector('.columns').replaceChildren(
      ...[...this.#columns.values()].map(([{ element }]) => element.parentElement));
  }

  /** @param {object} sentence whose translation this is; another one takes the next place */
  show(sentence, { language, committed, text, status }) {
    if (this.#root.hidden) return;
    if (sentence !== this.#sentence && status === 'running' && !text) return;
    if (sentence !== this.#sentence) this.#next(sentence);
    const place = this.#columns.get(language)?.[this.#turn];
    if (!place) return;
    this.#frame.mark(place, () => {
      place.text.put(committed, text.slice(committed.length));
      return place.text;
    });
  }

  /** Whether a language has a column. */
  shows(tag) { return this.#columns.has(tag); }

  /** A sentence was taken back before its end: its place is empty again. */
  drop(sentence) {
    if (sentence !== this.#sentence) return;
    for (const places of this.#columns.values()) this.#empty(places[this.#turn]);
  }

  #next(sentence) {
    this.#sentence = sentence;
    this.#turn = 1 - this.#turn;
    for (const places of this.#columns.values()) {
      places.forEach(({ element }, n) => { element.dataset.now = String(n === this.#turn); });
      this.#empty(places[this.#turn]);
    }
  }

  #empty(place) {
    this.#frame.mark(place, () => {
      place.text.put('', '');
      return place.text;
    });
  }

  #column({ tag, native, direction }) {
    const column = document.createElement('div');
    const head = document.createElement('h2');
    head.textContent = titled(native, tag);
    Object.assign(column, { className: 'column', lang: tag, dir: direction });
    column.append(head);
    return [0, 1].map(() => {
      const place = document.createElement('div');
      const element = place.appendChild(document.createElement('p'));
      place.className = 'place';
      for (const name of ['committed', 'tentative']) {
        const part = document.createElement('span');
        part.className = name;
        element.append(part);
      }
      column.append(place);
      return { element: place, text: new GrowingText(element) };
    });
  }
}
