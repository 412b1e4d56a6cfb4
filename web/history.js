/* history.js: what was said, kept in this browser alone, and taken away as TXT, SRT or VTT.
 *
 * An entry is a finished sentence: {at, end (ms since 1970), from, text, translations {tag: text}}.
 * Who types on after a pause revises it: the entry of the same box, whose text begins alike, is
 * replaced. Times in subtitles count from the first entry on. Several tabs share what is stored, so
 * it is read again before it is shown or changed.
 */
import { recall, remember } from './languages.js';
import { t } from './strings.js';

const KEY = 'hydraglot.history';
const MOST = 300;
const SHORTEST_MS = 1200; /* a subtitle that stands for less cannot be read */

function clock(ms, separator) {
  const two = (value, length = 2) => String(Math.floor(value)).padStart(length, '0');
  return `${two(ms / 3600000)}:${two(ms / 60000 % 60)}:${two(ms / 1000 % 60)}${separator}${
    two(ms % 1000, 3)}`;
}

/* [start, end] of each entry in ms, in order, none overlapping the next. */
function times(entries) {
  const [{ at: zero } = { at: 0 }] = entries;
  return entries.map(({ at, end }, n) => {
    const next = entries[n + 1]?.at ?? Infinity;
    return [at - zero, Math.min(Math.max(end, at + SHORTEST_MS), Math.max(next, at + 1)) - zero];
  });
}

/* A cue's text may not have an empty line, and "-->" would read as a time. */
const cueText = (text) => text.replace(/\s*\n\s*/g, ' ').replaceAll('-->', '→');
const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

/** What is written for one entry: the source and the chosen translation, or all of them. */
const lines = ({ text, translations }, tag) => [text,
  ...(tag ? [translations[tag] ?? ''] : Object.values(translations))].filter(Boolean).map(cueText);

export const FORMATS = {
  txt: (entries, tag) => entries.map((entry) => [
    `${new Date(entry.at).toISOString()}  ${entry.from}`, entry.text,
    ...Object.entries(entry.translations).filter(([name]) => !tag || name === tag)
      .map(([name, text]) => `${name}\t${text}`), ''].join('\n')).join('\n'),
  srt: (entries, tag) => times(entries).map(([start, end], n) => [
    n + 1, `${clock(start, ',')} --> ${clock(end, ',')}`, ...lines(entries[n], tag), '',
  ].join('\n')).join('\n'),
  vtt: (entries, tag) => ['WEBVTT\n', ...times(entries).map(([start, end], n) => [
    `${clock(start, '.')} --> ${clock(end, '.')}`, ...lines(entries[n], tag).map(escaped), '',
  ].join('\n'))].join('\n'),
};

/** Hands a file over to the person. */
export function save(name, content) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([content], { type: 'text/plain;charset=utf-8' }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

export class History {
  #dialog;
  #entries = [];
  #own = { box: 0, at: 0 }; /* this tab's newest entry, and which filling of the box it came from */

  /** @param {HTMLDialogElement} dialog */
  constructor(dialog) {
    this.#dialog = dialog;
    for (const button of dialog.querySelectorAll('[data-format]')) {
      button.addEventListener('click', () => this.#export(button.dataset.format));
    }
    dialog.querySelector('.forget').addEventListener('click', () => {
      this.#entries = [];
      this.#keep();
      this.#draw();
    });
  }

  /** @param {number} box a number that is another one after the box was emptied */
  add(entry, box) {
    this.#load();
    const last = this.#entries.find(({ at }) => box === this.#own.box && at === this.#own.at);
    if (last && entry.text.startsWith(last.text.replace(/[.!?。]+$/, ''))) {
      this.#entries.splice(this.#entries.indexOf(last), 1);
      entry.at = last.at;
    }
    this.#own = { box, at: entry.at };
    this.#entries = [...this.#entries, entry].sort((a, b) => a.at - b.at).slice(-MOST);
    this.#keep();
  }

  open() {
    this.#load();
    this.#draw();
    this.#dialog.showModal();
  }

  /* Where nothing can be stored, what this visit knows stands. */
  #load() {
    try {
      const kept = JSON.parse(recall(KEY)) ?? this.#entries;
      this.#entries = Array.isArray(kept) ? kept : [];
    } catch {
      this.#entries = []; /* not what we wrote */
    }
  }

  #keep() { remember(KEY, JSON.stringify(this.#entries)); }

  #export(format) {
    this.#load();
    const tag = this.#dialog.querySelector('.which').value;
    save(`hydraglot.${format}`, FORMATS[format](this.#entries, tag));
  }

  #draw() {
    const empty = this.#entries.length === 0;
    this.#dialog.querySelector('.nothing').hidden = !empty;
    for (const control of this.#dialog.querySelectorAll('.takes :is(button, select)')) {
      control.disabled = empty;
    }
    const tags = new Set(this.#entries.flatMap(({ translations }) => Object.keys(translations)));
    const which = this.#dialog.querySelector('.which');
    which.replaceChildren(new Option(t('All languages'), ''),
      ...[...tags].map((tag) => new Option(tag, tag)));
    this.#dialog.querySelector('ol').replaceChildren(
      ...this.#entries.toReversed().map((entry) => this.#row(entry)));
  }

  #row({ at, from, text, translations }) {
    const row = document.createElement('li');
    const part = (name, words, tag) => {
      const element = document.createElement(name);
      element.textContent = words;
      if (tag) Object.assign(element, { lang: tag, dir: 'auto' });
      return element;
    };
    const time = part('time', new Date(at).toLocaleTimeString(document.documentElement.lang,
      { hour: '2-digit', minute: '2-digit' }));
    time.dateTime = new Date(at).toISOString();
    row.append(time, part('p', text, from), ...Object.entries(translations).map(
      ([tag, translation]) => part('p', translation, tag)));
    return row;
  }
}
