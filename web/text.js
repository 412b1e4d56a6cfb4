/* text.js: text that grows in its place: committed words never move, whatever comes behind them.
 *
 * Committed pieces are appended, so that a screen reader hears only what is new; the tentative rest
 * is one text node. A mark that clings to the last word ("book" and then ",") would draw the word
 * to the next line where the line is full: such a mark is hung into the margin instead. For that
 * all texts are written first and measured together after, with one layout for all.
 */

/* What may not begin a line, in any of the scripts: closing marks, small kana, the long mark. */
const CLINGS = /^(?:[^\p{L}\p{N}\s\p{Ps}\p{Pi}]|[ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮー々])+/u;

const range = document.createRange(); /* one for all: each that lives costs every edit */

export class GrowingText {
  #element;
  #committed;
  #tentative;
  #rest = document.createTextNode('');
  #solid = '';
  #over = false;
  #place = null; /* where the last committed line ends, as it was shown */

  /** @param {HTMLElement} element holds .committed and .tentative, in a parent of fixed height */
  constructor(element) {
    this.#element = element;
    this.#committed = element.querySelector('.committed');
    this.#tentative = element.querySelector('.tentative');
    this.#tentative.append(this.#rest);
  }

  write(committed, tentative) {
    if (committed !== this.#solid) {
      const known = this.#solid && committed.startsWith(this.#solid);
      if (!known) this.#restart();
      const piece = known ? committed.slice(this.#solid.length) : committed;
      if (piece) this.#committed.append(piece);
      this.#solid = committed;
    }
    if (this.#tentative.textContent === tentative) return;
    if (this.#tentative.firstChild !== this.#rest) this.#tentative.replaceChildren(this.#rest);
    this.#rest.data = tentative;
  }

  /** Reads the layout: where does the last committed text that was shown stand now?
   *  Returns whether something must be hung. */
  measure() {
    this.moved = this.#place && this.#top(this.#place.node) !== this.#place.top;
    return this.moved;
  }

  /** Puts back a word that was drawn to the next line. */
  hang() {
    if (!this.moved) return;
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

  /** Reads the layout again and remembers it. */
  settle() {
    const last = this.#committed.lastChild;
    this.#place = last && { node: last, top: this.#top(last) };
    const over = this.#element.offsetHeight > this.#element.parentElement.clientHeight;
    if (over !== this.#over) this.#exceeds(over);
  }

  /** The width has changed: the text flows anew. */
  reflow() {
    this.#committed.textContent = this.#solid;
    const { textContent } = this.#tentative;
    this.#rest.data = textContent;
    this.#tentative.replaceChildren(this.#rest);
    this.settle();
  }

  /* Only what exceeds its room is a scroller: each costs the browser a layer. */
  #exceeds(over) {
    const { parentElement: room } = this.#element;
    this.#over = over;
    room.classList.toggle('over', over);
    if (over) room.tabIndex = 0;
    else room.removeAttribute('tabindex');
  }

  #restart() {
    this.#committed.replaceChildren();
    this.#solid = '';
    this.#place = null;
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

/** Writes what is marked in one of the next frames: first all texts, then one look at where they
 *  stand. */
export class Frame {
  #dirty = new Map();
  #waiting = false;

  /** @param {object} owner of a text; the last write of a frame counts
   *  @param {() => GrowingText} write */
  mark(owner, write) {
    this.#dirty.set(owner, write);
    if (this.#waiting) return;
    this.#waiting = true;
    setTimeout(() => requestAnimationFrame(() => this.#paint()), GATHER_MS);
  }

  #paint() {
    this.#waiting = false;
    const texts = [...this.#dirty.values()].map((write) => write());
    this.#dirty.clear();
    const moved = texts.filter((text) => text.measure());
    for (const text of moved) text.hang();
    for (const text of texts) text.settle();
  }
}
