/* cards.js: the cards: their order, the menu of each, and room kept for what is to come.
 *
 * What arrives only marks a card; the next animation frame writes it. Every card reserves as many
 * lines as the sentence is likely to need and scrolls what exceeds them, so a translation that
 * grows moves no other card. The reserve grows in steps, and only at the person's own keystroke.
 */
import { Card } from './card.js';
import { Frame } from './text.js';
import { t } from './strings.js';

const LONGER = 1.3; /* a translation beside its source; and one more line for words that wrap */
const STEPS = [2, 3, 5, 8, 12, 18, 27, 40, 60, 90, 135]; /* lines that may be reserved */

export class Cards {
  #list;
  #template;
  #menu;
  #act;
  #cards = new Map();
  #frame = new Frame();
  #pen = document.createElement('canvas').getContext('2d');
  #open = null; /* the card whose menu is open */

  /** @param {{list: Element, template: Element, menu: Element, act: (what: string, tag: string,
   *    detail?: object) => void}} parts act: pin, earlier, later, place {at}, remove, again,
   *    read, speak */
  constructor({ list, template, menu, act }) {
    this.#list = list;
    this.#template = template;
    this.#menu = menu;
    this.#act = act;
    menu.addEventListener('click', ({ target }) => this.#choose(target.closest('button')));
    menu.addEventListener('keydown', (event) => this.#walk(event));
    menu.addEventListener('toggle', ({ newState }) => {
      this.#open?.menu.setAttribute('aria-expanded', String(newState === 'open'));
    });
    list.addEventListener('keydown', (event) => this.#key(event));
    this.#drags();
    let width = 0;
    new ResizeObserver(([{ contentRect }]) => {
      if (width && width !== contentRect.width) {
        for (const { text } of this.#cards.values()) text.reflow();
      }
      ({ width } = contentRect);
    }).observe(list);
  }

  /** A card per language, in this order; those that stay keep their text.
   *  @param {object[]} languages @param {Set<string>} pinned tags @param {Set<string>} read
   *    tags shown in Latin letters too */
  arrange(languages, pinned, read) {
    const kept = new Map();
    for (const language of languages) {
      kept.set(language.tag, this.#cards.get(language.tag) ?? this.#make(language));
    }
    for (const [tag, { element }] of this.#cards) if (!kept.has(tag)) element.remove();
    this.#cards = kept;
    this.#list.classList.toggle('read', read.size > 0);
    /* Only what is out of place moves: a moved element would lose the reader's selection. */
    let place = this.#list.firstElementChild;
    for (const [tag, card] of kept) {
      card.element.classList.toggle('pinned', pinned.has(tag));
      card.read = read.has(tag);
      if (card.element === place) place = place.nextElementSibling;
      else this.#list.insertBefore(card.element, place);
    }
  }

  /** @param {import('./hydraglot.js').Translation} translation */
  show(translation) { this.#mark(translation.language, translation); }

  text(tag) { return this.#cards.get(tag)?.shown ?? ''; }

  focus(tag) { (this.#cards.get(tag) ?? [...this.#cards.values()][0])?.menu.focus(); }

  clear() {
    for (const tag of this.#cards.keys()) this.#mark(tag, null);
    this.#list.style.removeProperty('--lines');
  }

  /** Keeps room for a translation of this source; it shrinks only when the text is cleared. */
  reserve(source) {
    const sample = this.#list.querySelector('.text');
    if (!sample) return;
    const { fontSize, fontFamily, lineHeight } = getComputedStyle(sample);
    this.#pen.font = `${fontSize} ${fontFamily}`;
    const width = sample.clientWidth || 1;
    const measured = Math.ceil(this.#pen.measureText(source).width * LONGER / width) + 1;
    const shown = Math.max(...[...this.#list.querySelectorAll('.text')].map((text) =>
      text.scrollHeight / parseFloat(lineHeight)));
    const lines = STEPS.find((step) => step >= Math.max(measured, Math.floor(shown)))
      ?? STEPS.at(-1);
    const now = Number(getComputedStyle(this.#list).getPropertyValue('--lines'));
    if (lines > now) this.#list.style.setProperty('--lines', lines);
  }

  #make(language) {
    const card = new Card(this.#template, language);
    card.menu.addEventListener('click', () => this.#offer(card));
    return card;
  }

  #mark(tag, translation) {
    const card = this.#cards.get(tag);
    if (card) this.#frame.mark(card, () => card.render(translation));
  }

  #offer(card) {
    this.#open = card;
    const of = (what) => this.#menu.querySelector(`[data-act=${what}]`);
    const tags = [...this.#cards.keys()];
    const { tag } = card.language;
    const pinned = card.element.classList.contains('pinned');
    of('pin').lastElementChild.textContent = pinned ? t('Unpin') : t('Pin to the front');
    of('read').hidden = !card.language.reading;
    of('read').setAttribute('aria-checked', String(card.read));
    of('earlier').disabled = tags[0] === tag;
    of('later').disabled = tags.at(-1) === tag;
    of('again').disabled = card.element.dataset.state === 'empty';
    const voice = globalThis.speechSynthesis?.getVoices()
      .some(({ lang }) => lang.split(/[-_]/)[0] === tag.split('-')[0]);
    of('speak').disabled = !voice || !card.shown;
    const { right, bottom } = card.menu.getBoundingClientRect();
    this.#menu.showPopover();
    const { offsetWidth: width, offsetHeight: height } = this.#menu;
    this.#menu.style.left = `${Math.max(8, right - width)}px`;
    this.#menu.style.top = `${Math.max(8, Math.min(bottom + 4, innerHeight - height - 8))}px`;
    this.#items()[0].focus();
  }

  #items() { return [...this.#menu.querySelectorAll('button:enabled:not([hidden])')]; }

  #choose(button) {
    if (!button) return;
    const { language: { tag }, menu } = this.#open;
    this.#menu.hidePopover();
    menu.focus();
    this.#act(button.dataset.act, tag);
  }

  #walk(event) {
    const items = this.#items();
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) {
      if (event.key === 'Tab') this.#menu.hidePopover();
      return;
    }
    event.preventDefault();
    items.at(to % items.length).focus();
  }

  /* Alt and an arrow move the card that has the focus. */
  #key(event) {
    const tag = event.target.closest('.card')?.dataset.language;
    const rtl = getComputedStyle(this.#list).direction === 'rtl';
    const back = ['ArrowUp', rtl ? 'ArrowRight' : 'ArrowLeft'].includes(event.key);
    if (!tag || !event.altKey || !event.key.startsWith('Arrow')) return;
    event.preventDefault();
    this.#act(back ? 'earlier' : 'later', tag);
    event.target.focus();
  }

  /* A card is dragged by its head. */
  #drags() {
    let dragged = null;
    const card = (event) => event.target.closest?.('.card');
    this.#list.addEventListener('dragstart', (event) => {
      dragged = card(event)?.dataset.language;
      event.dataTransfer.effectAllowed = 'move';
    });
    this.#list.addEventListener('dragover', (event) => {
      if (dragged) event.preventDefault();
    });
    this.#list.addEventListener('drop', (event) => {
      const before = card(event)?.dataset.language;
      if (!dragged) return;
      event.preventDefault();
      if (before && before !== dragged) this.#act('place', dragged, { at: before });
    });
    this.#list.addEventListener('dragend', () => { dragged = null; });
  }
}
