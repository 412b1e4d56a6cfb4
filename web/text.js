/* text.js: text that grows in its place: committed words never move, whatever comes behind them.
 *
 * Committed text is one text node that grows, and so is the tentative rest: each node costs the
 * layout. A mark that clings to the last word ("book" and then ",") would draw the word
 * to the next line where the line is full: such a mark is hung into the margin instead. Only a text
 * that such a mark comes to is measured, before and after, all such texts together; others are
 * written without a look at the layout, which is most of what an update would cost.
 */

/* What may not begin a line, in any of the scripts: closing marks, small kana, the long mark. */
const CLINGS = /^(?:[^\p{L}\p{N}\s\p{Ps}\p{Pi}]|[ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮー々])+/u;

const range = document.createRange(); /* one for all: each that lives costs every edit */

/* Told of by the browser after its own layout: to ask would be another one. */
const owners = new WeakMap(); /* element: GrowingText */
const heights = new ResizeObserver((entries) => {
  for (const { target } of entries) owners.get(target).fit();
});

export class GrowingText {
  #element;
  #committed;
  #tentative;
  #rest = document.createTextNode('');
  #solid = '';
  #over = false;
  #next = { committed: '', tentative: '' }; /* what is to be shown */
  #clings = false; /* what comes behind the committed text begins with a mark that may move it */
  #place = null; /* the last committed node, and where its last line stood */

  /** @param {HTMLElement} element holds .committed and .tentative, in a parent of fixed height */
  constructor(element) {
    this.#element = element;
    this.#committed = element.querySelector('.committed');
    this.#tentative = element.querySelector('.tentative');
    this.#tentative.append(this.#rest);
    const room = element.parentElement;
    for (const part of [room, ...room.children]) {
      heights.observe(part);
      owners.set(part, this);
    }
  }

  /** Says what is to be shown; `look` and `write` follow. */
  put(committed, tentative) {
    this.#next = { committed, tentative };
    this.#clings = this.#solid !== '' && committed.startsWith(this.#solid)
      && CLINGS.test(committed.slice(this.#solid.length) + tentative);
  }

  /** Reads the layout, where it must: where does the last committed text stand? */
  look() {
    const node = this.#clings ? this.#committed.lastChild : null;
    this.#place = node && { node, top: this.#top(node) };
  }

  write() {
    const { committed, tentative } = this.#next;
    if (committed !== this.#solid) {
      const known = this.#solid && committed.startsWith(this.#solid);
      if (!known) this.#restart();
      const piece = known ? committed.slice(this.#solid.length) : committed;
      if (piece) this.#append(piece);
      this.#solid = committed;
    }
    if (this.#tentative.textContent === tentative) return;
    if (this.#tentative.firstChild !== this.#rest) this.#tentative.replaceChildren(this.#rest);
    this.#rest.data = tentative;
  }

  /** Reads the layout again, where it must: was the last committed text drawn to the next line? */
  get moved() {
    return this.#place !== null && this.#top(this.#place.node) !== this.#place.top;
  }

  /** Puts back a word that was drawn to the next line. */
  hang() {
    const next = this.#place.node.nextSibling ?? this.#rest;
    const [mark] = CLINGS.exec(next.data ?? '') ?? [];
    if (!mark) return;
    const margin = document.createElement('span');
    margin.className = 'hang';
    margin.textContent = mark;
    next.data = next.data.slice(mark.length);
    next.before(margin);
    if (!next.data && next !== this.#rest) next.remove();
  }

  /** The width has changed: the text flows anew. */
  reflow() {
    this.#committed.textContent = this.#solid;
    const { textContent } = this.#tentative;
    this.#rest.data = textContent;
    this.#tentative.replaceChildren(this.#rest);
    this.fit();
  }

  /** Only what exceeds its room is a scroller: each costs the browser a layer. */
  fit() {
    const { parentElement: room } = this.#element;
    const over = room.scrollHeight > room.clientHeight;
    if (over === this.#over) return;
    this.#over = over;
    room.classList.toggle('over', over);
    if (over) room.tabIndex = 0;
    else room.removeAttribute('tabindex');
  }

  /* A mark that may have to be hung begins a node of its own. */
  #append(piece) {
    const { lastChild } = this.#committed;
    if (lastChild?.nodeType === Node.TEXT_NODE && !this.#clings) lastChild.appendData(piece);
    else this.#committed.append(piece);
  }

  #restart() {
    this.#committed.replaceChildren();
    this.#solid = '';
  }

  /* The top of a node's last line, within the element; undefined while it is not laid out. */
  #top(node) {
    range.selectNodeContents(node);
    const lines = range.getClientRects();
    const last = lines[lines.length - 1];
    return last && Math.round(last.top - this.#element.getBoundingClientRect().top);
  }
}

const GATHER_MS = 8; /* what comes for many languages together is shown together, in one frame */

/** Writes what is marked in one of the next frames, and looks at the layout at most twice for all:
 *  before the texts change, and after. */
export class Frame {
  #dirty = new Map();
  #waiting = false;

  /** @param {object} owner of a text; the last one of a frame counts
   *  @param {() => GrowingText} put says what is to be shown, and of which text */
  mark(owner, put) {
    this.#dirty.set(owner, put);
    if (this.#waiting) return;
    this.#waiting = true;
    setTimeout(() => requestAnimationFrame(() => this.#paint()), GATHER_MS);
  }

  #paint() {
    this.#waiting = false;
    const texts = [...this.#dirty.values()].map((put) => put());
    this.#dirty.clear();
    for (const text of texts) text.look();
    for (const text of texts) text.write();
    for (const text of texts.filter(({ moved }) => moved)) text.hang();
  }
}
