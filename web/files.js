/* files.js: a text file dropped on the page, translated line by line, with progress.
 *
 * Each line goes out as a sentence of its own, a few at a time. In subtitles (.srt, .vtt) numbers,
 * times and the head stay as they are, so each language comes back as subtitles too.
 */
import { save } from './history.js';
import { languageName, t } from './strings.js';

const AT_ONCE = 3; /* lines under way */
const MOST_BYTES = 2 << 20;
const KEPT = {
  srt: /^\s*(\d+|[\d:,]+\s*-->.*)?\s*$/,
  vtt: /^\s*((WEBVTT|NOTE|[\d:.]+\s*-->).*)?$/,
};

export class Files {
  #root;
  #client;
  #choice;
  #job = null;
  #turn = 0; /* counts the files that were dropped */

  /** @param {{root: HTMLElement, button: HTMLElement, input: HTMLInputElement, client: object,
   *    choice: () => {source: string, languages: object[]}, notice: (words: string) => void}} of */
  constructor({ root, button, input, client, choice, notice }) {
    this.#root = root;
    this.#client = client;
    this.#choice = choice;
    this.notice = notice;
    button.addEventListener('click', () => input.click());
    input.addEventListener('change', () => {
      if (input.files[0]) this.take(input.files[0]);
      input.value = '';
    });
    this.#find('.stop').addEventListener('click', () => this.#stop());
    addEventListener('dragover', (event) => {
      if (!event.dataTransfer.types.includes('Files')) return;
      event.preventDefault();
      document.body.classList.add('dropping');
    });
    for (const type of ['dragleave', 'drop']) {
      addEventListener(type, () => document.body.classList.remove('dropping'));
    }
    addEventListener('drop', (event) => {
      const [file] = event.dataTransfer.files;
      if (!file) return;
      event.preventDefault();
      this.take(file);
    });
  }

  /** @param {File} file */
  async take(file) {
    this.#stop();
    this.#turn += 1;
    const turn = this.#turn;
    const text = file.size > MOST_BYTES ? '\0' : await file.text();
    if (turn !== this.#turn) return; /* another file came while this one was read */
    const { source, languages } = this.#choice();
    if (text.includes('\0') || !languages.length) {
      this.notice(t('Only text files of up to 2 MB can be translated.'));
      return;
    }
    const lines = text.replace(/^\uFEFF/, '').split(/\r\n?|\n/);
    const [, extension = 'txt'] = /\.(\w+)$/.exec(file.name) ?? [];
    const kept = KEPT[extension.toLowerCase()] ?? /^\s*$/;
    const wanted = lines.map((line, n) => [line, n]).filter(([line]) => !kept.test(line));
    const results = new Map(languages.map((language) => [language, [...lines]]));
    this.#job = { name: file.name, extension, source, results, wanted, next: 0, done: 0, failed: 0,
      running: new Set() };
    this.#root.hidden = false;
    this.#find('.name').textContent = file.name;
    this.#find('.results').replaceChildren();
    this.#draw(this.#job);
    for (let n = 0; n < AT_ONCE; n += 1) this.#step(this.#job);
  }

  async #step(job) {
    while (job === this.#job && job.next < job.wanted.length) {
      const [line, n] = job.wanted[job.next];
      job.next += 1;
      const targets = [...job.results.keys()].map(({ tag }) => tag);
      const sentence = this.#client.translate(line.trim(), { targets, source: job.source,
        final: true, options: { stream: false } });
      job.running.add(sentence);
      const { translations } = await sentence.finished;
      job.running.delete(sentence);
      for (const [{ tag }, lines] of job.results) {
        const { status, text } = translations[tag];
        if (status === 'ok') lines[n] = text;
        else job.failed += 1;
      }
      job.done += 1;
      this.#draw(job);
    }
  }

  #find(selector) { return this.#root.querySelector(selector); }

  #draw(job) {
    if (job !== this.#job) return;
    const total = job.wanted.length;
    const ended = job.done === total;
    Object.assign(this.#find('progress'), { value: job.done, max: Math.max(total, 1) });
    this.#find('.count').textContent = t('{done} of {n} lines', { done: job.done, n: total })
      + (job.failed ? ` · ${t('{n} translations failed', { n: job.failed })}` : '');
    this.#find('.stop').setAttribute('aria-label', ended ? t('Close') : t('Stop'));
    if (ended) this.#find('.results').replaceChildren(...this.#links(job));
  }

  #links({ name, extension, results }) {
    return [...results].map(([language, lines]) => {
      const button = document.createElement('button');
      button.className = 'chip';
      button.textContent = languageName(language);
      button.addEventListener('click', () => {
        save(`${name.replace(/\.\w+$/, '')}.${language.tag}.${extension}`, lines.join('\n'));
      });
      return button;
    });
  }

  #stop() {
    for (const sentence of this.#job?.running ?? []) sentence.cancel();
    this.#job = null;
    this.#root.hidden = true;
  }
}
