/* languages.js: which of the served languages are shown, chosen by the person and remembered.
 *
 * What is stored is what was switched off, so that a language added to the service later appears
 * by itself. A stored tag that is not served now is kept: it may come back.
 */

const KEY = 'hydraglot.languages.off';

/** A key of localStorage, or null where storage is forbidden. */
export function recall(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

function recallOff() {
  try {
    return new Set(JSON.parse(recall(KEY) ?? '[]'));
  } catch {
    return new Set(); /* not what we wrote: begin anew */
  }
}

export function remember(key, value) {
  try { localStorage.setItem(key, value); } catch { /* only this visit knows it, then */ }
}

/** ICU gives names as they stand in running text ("español"); a title begins with a capital. */
export function titled(name, tag) {
  const [first = ''] = name;
  return first.toLocaleUpperCase(tag) + name.slice(first.length);
}

/** The source that most languages take, while a session may offer languages of several. */
export function commonSource(languages) {
  const count = new Map();
  for (const { sources } of languages) {
    for (const tag of sources) count.set(tag, (count.get(tag) ?? 0) + 1);
  }
  return [...count].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'auto';
}

export class Picker {
  #button;
  #words;
  #panel;
  #changed;
  #off = recallOff();
  #languages = [];

  constructor({ button, words, panel, changed }) {
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

  /** The languages that are on, in the order of the service. */
  get selected() { return this.#languages.filter(({ tag }) => !this.#off.has(tag)); }

  /** @param {object[]} languages of session.ready */
  offer(languages) {
    this.#languages = languages;
    this.#panel.replaceChildren(...languages.map((language) => this.#row(language)));
    this.#count();
  }

  #row({ tag, name, native, direction }) {
    const label = document.createElement('label');
    const box = document.createElement('input');
    const own = document.createElement('span');
    const english = document.createElement('span');
    box.type = 'checkbox';
    box.value = tag;
    box.checked = !this.#off.has(tag);
    own.textContent = titled(native, tag);
    own.lang = tag;
    own.dir = direction;
    english.textContent = name;
    english.className = 'english';
    box.addEventListener('change', () => this.#toggle(tag, box.checked));
    label.append(box, own, english);
    return label;
  }

  #toggle(tag, on) {
    if (on) this.#off.delete(tag);
    else this.#off.add(tag);
    remember(KEY, JSON.stringify([...this.#off]));
    this.#count();
    this.#changed();
  }

  #count() {
    const all = this.#languages.length;
    const on = this.selected.length;
    const noun = all === 1 ? 'language' : 'languages';
    this.#words.textContent = on === all ? `${all} ${noun}` : `${on} of ${all} ${noun}`;
  }

  #open(open) {
    this.#panel.hidden = !open;
    this.#button.setAttribute('aria-expanded', String(open));
  }
}
