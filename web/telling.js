/* telling.js: tells screen readers what was committed, and nothing else, a phrase at a time.
 *
 * The texts that are seen grow by a word and are no live regions: nine languages, word by word,
 * would be noise, and a node for each word is what makes a browser's layout slow. What was
 * committed since the last time goes into one hidden live region instead, each language's part as
 * an element of its own, one language after the other.
 */
const EVERY_MS = 2000; /* for each language */
const KEPT = 100; /* elements that stay: a reader may come back to them */

export class Telling {
  #root;
  #news = new Map(); /* tag: what is committed now */
  #told = new Map(); /* tag: what of it was told */
  #timer = 0;
  #at = 0; /* when something was told last, or began to wait */
  #heard = 0; /* when text came last */

  /** @param {HTMLElement} root with aria-live */
  constructor(root) { this.#root = root; }

  /** @param {import('./hydraglot.js').Translation} translation to be heard */
  hear({ language, committed }) {
    if ((this.#news.get(language) ?? this.#told.get(language) ?? '') === committed) return;
    this.#news.set(language, committed);
    this.#heard = performance.now();
    if (!this.#timer) this.#wait();
    else if (performance.now() - this.#at > EVERY_MS / this.#news.size) this.#tell();
  }

  /** The text was cleared: what was told may be told again. */
  forget() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#news.clear();
    this.#told.clear();
  }

  /* While text comes it is told beside it, in the same frame; when it ends, all that is left. */
  #wait() {
    this.#at = performance.now();
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      while (this.#news.size && performance.now() - this.#heard > EVERY_MS / 2) this.#tell();
      if (this.#news.size) this.#wait();
    }, EVERY_MS);
  }

  /* The language that has waited the longest. */
  #tell() {
    const [[tag, committed]] = this.#news;
    const told = this.#told.get(tag) ?? '';
    const piece = (committed.startsWith(told) ? committed.slice(told.length) : committed).trim();
    this.#at = performance.now();
    this.#news.delete(tag);
    this.#told.set(tag, committed);
    if (!piece) return;
    const phrase = document.createElement('p');
    Object.assign(phrase, { lang: tag, textContent: piece });
    this.#root.append(phrase);
    if (this.#root.childElementCount > KEPT) this.#root.firstElementChild.remove();
  }
}
