/* page.js: what stands around the cards: connection, batch line, model line, theme, the page's own
 * language, examples, sharing, and keeping the screen awake. */
import { duration } from './card.js';
import { remember } from './languages.js';
import { number, t } from './strings.js';

const BANNER_MS = 2500; /* down for so long before the page says it loudly */

/* Short and everyday: what the bundled model, 22 million parameters small, does well. */
export const EXAMPLES = [
  'Can you help me?',
  'She is reading a book.',
  "I'm looking for my keys.",
  "I'd like to go home.",
  "We can't talk now.",
  'He has a dog.',
];

const byId = (id) => document.getElementById(id);

const CONNECTION = {
  connecting: 'Connecting',
  ready: 'Connected',
  waiting: 'Reconnecting',
  denied: 'Signed out',
  closed: 'Not connected',
};

/** The quiet dot, and a banner once the service has been away for a while. */
export class Connection {
  #timer = 0;

  constructor(retry) { byId('banner-button').addEventListener('click', retry); }

  show({ state }) {
    const down = state === 'waiting' || (state === 'connecting' && this.#timer !== 0);
    byId('connection').dataset.state = down ? 'waiting' : state;
    byId('connection-words').textContent = t(down ? CONNECTION.waiting : CONNECTION[state]);
    if (state === 'ready') this.#banner(null);
    else if (state === 'denied') {
      this.#banner('The service no longer accepts this page. Load it again.');
    } else if (state === 'waiting') {
      this.#timer ||= setTimeout(() => {
        this.#banner('The service is not answering. Your text is safe, and the page keeps trying.');
      }, BANNER_MS);
    }
  }

  #banner(words) {
    if (!words) {
      clearTimeout(this.#timer);
      this.#timer = 0;
    }
    byId('banner').hidden = !words;
    if (words) byId('banner-words').textContent = t(words);
  }
}

function figure(value, words) {
  const span = document.createElement('span');
  const strong = document.createElement('b');
  strong.textContent = value;
  span.append(strong, ` ${words}`);
  return span;
}

/** @param {object | null} batch of batch.done */
export function showBatch(batch) {
  if (!batch) {
    byId('batch').replaceChildren();
    return;
  }
  const { lanes, total_ms, tokens_per_s, shared_tokens } = batch;
  byId('batch').replaceChildren(
    figure(number.format(lanes), t('{n} languages', { n: lanes }).replace(/^\d+\s*/, '')),
    figure(...duration(total_ms).split('\u202F')),
    figure(number.format(tokens_per_s), t('tokens/s')),
    figure(number.format(shared_tokens), t('shared tokens saved')),
  );
}

/** What runs, and whose work it rests on: each licence and attribution once.
 *  @param {{model: object, languages: object[]}} session of session.ready */
export function showModel({ model, languages }) {
  const { name, device, licence, notice } = model;
  const rights = languages.flatMap((language) => [language.licence, language.attribution]);
  const what = t('{model} on {device}', { model: name, device });
  byId('model').textContent = [...new Set([what, licence, notice, ...rights])]
    .filter(Boolean).join(' · ');
}

export function examples(put) {
  byId('examples').replaceChildren(...EXAMPLES.map((text) => {
    const chip = document.createElement('button');
    chip.type = 'button';
    chip.className = 'chip';
    chip.textContent = text;
    chip.addEventListener('click', () => put(text));
    return chip;
  }));
}

export function themes() {
  byId('theme').addEventListener('click', () => {
    const { dataset } = document.documentElement;
    const system = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
    dataset.theme = (dataset.theme ?? system) === 'dark' ? 'light' : 'dark';
    remember('hydraglot.theme', dataset.theme);
  });
}

/** The page's own words: another language loads the page again; the browser keeps the text. */
export function words() {
  const list = byId('words');
  list.value = document.documentElement.lang;
  list.addEventListener('change', () => {
    remember('hydraglot.words', list.value);
    location.reload();
  });
}

/** A link that opens the page with these languages; in the fragment, which no server sees. */
export function shareLink({ from, to }) {
  const link = new URL(location.href);
  link.hash = new URLSearchParams({ from, to: to.join(',') }).toString();
  return link.href;
}

/** What such a link says: {from, to} or null. */
export function sharedChoice() {
  const said = new URLSearchParams(location.hash.slice(1));
  return said.has('to') ? { from: said.get('from'), to: said.get('to').split(',') } : null;
}

/** Keeps the screen on while wanted, also after the page was hidden and came back. */
export class Awake {
  #wanted = false;
  #lock = null;

  constructor() {
    document.addEventListener('visibilitychange', () => this.#take());
  }

  keep(wanted) {
    this.#wanted = wanted;
    if (wanted) return this.#take();
    this.#lock?.release();
    this.#lock = null;
    return null;
  }

  async #take() {
    if (!this.#wanted || document.hidden) return;
    try {
      const lock = await navigator.wakeLock?.request('screen');
      this.#lock?.release();
      this.#lock = lock;
      if (!this.#wanted) this.keep(false); /* no longer, by the time it came */
    } catch {
      /* a battery that runs low may forbid it; the captions go on */
    }
  }
}
