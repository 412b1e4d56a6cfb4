/* cards.js: a card for each language, and text growing in it without anything moving.
 *
 * What arrives only marks a card; the next animation frame writes what changed into its text
 * nodes. Every card reserves as many lines as the sentence is likely to need, measured when the
 * person types, so a translation that grows moves no other card. All text goes in as text.
 */
import { titled } from './languages.js';

const COPIED_MS = 1400;
const LONGER = 1.3; /* a translation beside its source; and one more line for words that wrap */

const REASONS = {
  unknown_language: 'This language is not served just now.',
  unsupported_source: 'This language cannot be translated from the one you write in.',
  text_too_long: 'The text is too long.',
  deadline: 'This took too long and was stopped.',
  busy: 'The service has too much to do. Try again in a moment.',
  shutting_down: 'The service is restarting.',
  starting: 'The service is still starting.',
};

const milliseconds = (ms) => {
  if (ms >= 1000) return [(ms / 1000).toFixed(1), 's'];
  return [ms >= 9.95 ? ms.toFixed(0) : ms.toFixed(1), 'ms'];
};

/** "4.1 ms", "31 ms", "1.2 s" */
export const duration = (ms) => milliseconds(ms).join('\u202F');

function latency({ first_ms, total_ms }) {
  const [first, unit] = milliseconds(first_ms);
  const [total, total_unit] = milliseconds(total_ms);
  return `${first}${unit === total_unit ? '' : `\u202F${unit}`} / ${total}\u202F${total_unit}`;
}

/* Writes only what differs: a text node that stays the same is neither laid out nor read again. */
function write(node, text) {
  if (node.data !== text) node.data = text;
}

class Card {
  #committed;
  #tentative;
  #latency;
  #reason;
  #copy;
  #shown = '';
  #name;

  constructor(template, { tag, name, native, direction }) {
    this.element = template.content.firstElementChild.cloneNode(true);
    const find = (selector) => this.element.querySelector(selector);
    const node = (selector) => find(selector).appendChild(document.createTextNode(''));
    this.element.dataset.language = tag;
    for (const selector of ['.native', '.text']) {
      find(selector).lang = tag;
      find(selector).dir = direction;
    }
    find('.native').textContent = titled(native, tag);
    find('.english').textContent = name;
    this.#committed = node('.committed');
    this.#tentative = node('.tentative');
    this.#latency = node('.latency');
    this.#reason = node('.reason');
    this.#name = name;
    this.#copy = find('.copy');
    this.#label('idle');
    this.#copy.addEventListener('click', () => this.#copyText());
  }

  /** @param {import('./hydraglot.js').Translation | null} translation null: nothing yet */
  render(translation) {
    const { committed = '', text = '', status = 'empty', rev } = translation ?? {};
    let tentative = text.slice(committed.length);
    /* Until new text has said otherwise, the end of the old one stays where it is. */
    if (status === 'running' && this.#shown.startsWith(text)) {
      tentative += this.#shown.slice(text.length);
    }
    const timed = status === 'ok' && translation.total_ms !== undefined;
    this.#shown = committed + tentative;
    this.element.dataset.state = status;
    this.element.dataset.rev = rev ?? '';
    write(this.#committed, committed);
    write(this.#tentative, tentative);
    if (timed) write(this.#latency, latency(translation));
    else if (status !== 'running') write(this.#latency, '');
    const plain = REASONS[translation?.code] ?? 'This translation did not work out. Try again.';
    write(this.#reason, status === 'failed' ? plain : '');
    this.#copy.disabled = !this.#shown;
  }

  #label(state) {
    this.#copy.dataset.state = state;
    this.#copy.setAttribute('aria-label', { idle: `Copy ${this.#name}`, copied: 'Copied',
      failed: 'Copying is not allowed here' }[state]);
  }

  async #copyText() {
    try {
      await navigator.clipboard.writeText(this.#shown);
      this.#label('copied');
    } catch {
      this.#label('failed');
    }
    setTimeout(() => this.#label('idle'), COPIED_MS);
  }
}

export class Cards {
  #list;
  #template;
  #cards = new Map();
  #dirty = new Map();
  #frame = 0;
  #pen = document.createElement('canvas').getContext('2d');

  constructor(list, template) {
    this.#list = list;
    this.#template = template;
  }

  /** A card per language, in this order; those that stay keep their text. */
  arrange(languages) {
    const kept = new Map();
    for (const language of languages) {
      const card = this.#cards.get(language.tag) ?? new Card(this.#template, language);
      kept.set(language.tag, card);
    }
    for (const [tag, { element }] of this.#cards) if (!kept.has(tag)) element.remove();
    this.#cards = kept;
    /* Only what is out of place moves: a moved element would lose the reader's selection. */
    let place = this.#list.firstElementChild;
    for (const { element } of kept.values()) {
      if (element === place) place = place.nextElementSibling;
      else this.#list.insertBefore(element, place);
    }
  }

  show(translation) { this.#mark(translation.language, translation); }

  clear() {
    for (const tag of this.#cards.keys()) this.#mark(tag, null);
    this.#list.style.removeProperty('--lines');
  }

  /** Keeps room for a translation of this source; it shrinks only when the text is cleared. */
  reserve(source) {
    const sample = this.#list.querySelector('.text');
    if (!sample) return;
    const style = getComputedStyle(sample);
    this.#pen.font = `${style.fontSize} ${style.fontFamily}`;
    const width = sample.clientWidth || 1;
    const lines = Math.ceil(this.#pen.measureText(source).width * LONGER / width) + 1;
    const now = Number(getComputedStyle(this.#list).getPropertyValue('--lines'));
    if (lines > now) this.#list.style.setProperty('--lines', lines);
  }

  #mark(tag, translation) {
    if (!this.#cards.has(tag)) return;
    this.#dirty.set(tag, translation);
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      for (const [name, latest] of this.#dirty) this.#cards.get(name)?.render(latest);
      this.#dirty.clear();
    });
  }
}
