/* typing.js: from keystrokes to revisions.
 *
 * While the person types, the text goes out at most once every STEP_MS; when they pause, press
 * Enter or end the sentence with a mark, it goes out as final. The box grows with its text.
 */

const STEP_MS = 120;
const PAUSE_MS = 900;
const LINES = [2, 4, 8, 16]; /* of the box */
const SENTENCE_END = /[.!?。！？…]["')\]”’»」』]*\s*$/u;

export class Typing {
  #box;
  #send;
  #clear;
  #enter;
  #step = 0;
  #pause = 0;
  #sent = { text: '', final: false };

  /**
   * @param {HTMLTextAreaElement} box
   * @param {{send: (text: string, final: boolean) => void, clear: () => void,
   *   enter: () => void}} to enter: the key was pressed
   */
  constructor(box, { send, clear, enter }) {
    this.#box = box;
    this.#send = send;
    this.#clear = clear;
    this.#enter = enter;
    box.addEventListener('input', () => this.changed());
    box.addEventListener('keydown', (event) => this.#key(event));
    addEventListener('resize', () => this.fit());
  }

  get text() { return this.#box.value; }

  /** Puts a whole sentence into the box, as an example chip or a voice does. */
  put(text, final) {
    this.#box.value = text;
    this.fit();
    if (final) this.finish();
    else this.#step ||= setTimeout(() => this.#out(false), STEP_MS);
    this.#box.focus();
  }

  /** The box is free for the next sentence; the last one stands. */
  empty() {
    this.#box.value = '';
    this.fit();
    this.#stop();
    this.#sent = { text: '', final: false };
  }

  clear() {
    this.#box.value = '';
    this.changed();
    this.#box.focus();
  }

  /** What is in the box goes out now, and as the last word on it. */
  finish() { this.#out(true); }

  /** The text is to be sent again though it is the same: other languages, say. */
  again() {
    this.#sent = { text: '', final: false };
    this.finish();
  }

  changed() {
    this.fit();
    clearTimeout(this.#pause);
    if (!this.text.trim()) {
      this.#stop();
      this.#sent = { text: '', final: false };
      this.#clear();
      return;
    }
    this.#pause = setTimeout(() => this.finish(), PAUSE_MS);
    /* The first keystroke after a send starts the step; further ones ride along. */
    this.#step ||= setTimeout(() => this.#out(SENTENCE_END.test(this.text)), STEP_MS);
  }

  /** The box grows with its text in steps, and shrinks only when it is emptied, so that what is
   *  below it seldom moves. */
  fit() {
    const box = this.#box;
    if (!box.value) box.rows = LINES[0];
    const fits = () => box.scrollHeight <= box.clientHeight;
    for (const lines of LINES) {
      if (fits()) break;
      box.rows = Math.max(box.rows, lines);
    }
  }

  #stop() {
    clearTimeout(this.#step);
    clearTimeout(this.#pause);
    this.#step = 0;
  }

  #out(final) {
    clearTimeout(this.#step);
    this.#step = 0;
    if (final) clearTimeout(this.#pause);
    const text = this.text.trim();
    const same = text === this.#sent.text && (this.#sent.final || !final);
    if (!text || same) return;
    this.#sent = { text, final };
    this.#send(text, final);
  }

  #key(event) {
    /* Enter that chooses a word of an input method belongs to that method. */
    if (event.isComposing) return;
    if (event.key === 'Escape' && this.text) this.clear();
    else if (event.key === 'Enter' && !event.shiftKey) this.#enter();
    else return;
    event.preventDefault();
  }
}
