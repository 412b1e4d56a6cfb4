/* card.js: one language's card: its text, how long it took, and what can be done with it. */
import { GrowingText } from './text.js';
import { languageName, t, titled } from './strings.js';

const COPIED_MS = 1400;

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

/* Writes only what differs: what stays the same is neither laid out nor read again. */
function write(node, text) {
  if (node.data !== text) node.data = text;
}

function mark(element, name, value) {
  if (element.dataset[name] !== value) element.dataset[name] = value;
}

export class Card {
  #latency;
  #reason;
  #reading;
  #copy;

  /** @param {HTMLTemplateElement} template @param {object} language of session.ready */
  constructor(template, language) {
    const { tag, native, direction } = language;
    this.element = template.content.firstElementChild.cloneNode(true);
    this.language = language;
    this.name = languageName(language);
    this.shown = '';
    const find = (selector) => this.element.querySelector(selector);
    const node = (selector) => find(selector).appendChild(document.createTextNode(''));
    this.element.dataset.language = tag;
    for (const selector of ['.native', '.text']) find(selector).lang = tag;
    for (const selector of ['.native', '.text', '.body']) find(selector).dir = direction;
    find('.native').textContent = titled(native, tag);
    find('.english').textContent = this.name;
    find('.english').hidden = this.name === titled(native, tag);
    this.text = new GrowingText(find('.text'));
    this.#latency = node('.latency');
    this.#reason = node('.reason');
    this.#reading = node('.reading');
    find('.reading').lang = `${tag.split('-')[0]}-Latn`;
    this.menu = find('.more');
    this.menu.setAttribute('aria-label', t('More for {name}', { name: this.name }));
    this.#copy = find('.copy');
    this.#label('idle');
    this.#copy.addEventListener('click', () => this.#copyText());
  }

  /** The text is shown in Latin letters too. */
  get read() { return !this.#reading.parentElement.hidden; }

  set read(on) { this.#reading.parentElement.hidden = !on; }

  /** @param {import('./hydraglot.js').Translation | null} translation null: nothing yet */
  render(translation) {
    const { committed = '', text = '', status = 'empty', rev } = translation ?? {};
    let tentative = text.slice(committed.length);
    /* Until new text has said otherwise, the end of the old one stays where it is. */
    if (status === 'running' && this.shown.startsWith(text)) {
      tentative += this.shown.slice(text.length);
    }
    const timed = status === 'ok' && translation.total_ms !== undefined;
    this.shown = committed + tentative;
    mark(this.element, 'state', status === 'running' && !this.shown ? 'waiting' : status);
    mark(this.element, 'rev', String(rev ?? ''));
    this.text.put(committed, tentative);
    if (timed) write(this.#latency, latency(translation));
    else if (status !== 'running') write(this.#latency, '');
    /* What was read last stands, dimmed, till the new text has ended: no line comes and goes. */
    mark(this.#reading.parentElement, 'of', status === 'ok' ? 'now' : 'before');
    if (status !== 'running') write(this.#reading, translation?.reading ?? '');
    const plain = REASONS[translation?.code] ?? 'This translation did not work out. Try again.';
    write(this.#reason, status === 'failed' ? t(plain) : '');
    if (this.#copy.disabled === Boolean(this.shown)) this.#copy.disabled = !this.shown;
    return this.text;
  }

  #label(state) {
    this.#copy.dataset.state = state;
    this.#copy.setAttribute('aria-label', { idle: t('Copy {name}', { name: this.name }),
      copied: t('Copied'), failed: t('Copying is not allowed here') }[state]);
  }

  async #copyText() {
    try {
      await navigator.clipboard.writeText(this.shown);
      this.#label('copied');
    } catch {
      this.#label('failed');
    }
    setTimeout(() => this.#label('idle'), COPIED_MS);
  }
}
