/* app.js: the page. Ties the box, the cards, the choice of languages and the connection together.
 *
 * One sentence of the protocol is current at a time. A keystroke revises it; after its final
 * revision the next edit begins a new one, whose cards keep the old text, dimmed, till new text
 * comes. In the captions view Enter empties the box, and the finished sentence stays to be read.
 */
import { Hydraglot, codePoints } from './hydraglot.js';
import { Awake, Connection, examples, sharedChoice, shareLink, showBatch, showModel, themes, words }
  from './page.js';
import { Captions } from './captions.js';
import { Cards } from './cards.js';
import { Choice, Picker, commonSource } from './languages.js';
import { Files } from './files.js';
import { History } from './history.js';
import { Listening, speak } from './speech.js';
import { Telling } from './telling.js';
import { Typing } from './typing.js';
import { languageName, t, translate } from './strings.js';

const NEAR = 0.8; /* of the longest text: from here on its length is shown */
const NOTICE_MS = 2800;

const byId = (id) => document.getElementById(id);
translate(document.documentElement);

const client = new Hydraglot();
const choice = new Choice();
const cards = new Cards({ list: byId('cards'), template: byId('card'), menu: byId('menu'), act });
const captions = new Captions(byId('captions'));
const connection = new Connection(() => client.wake());
const past = new History(byId('history'));
const awake = new Awake();
const telling = new Telling(byId('told'));
let current = null;
let box = 0; /* counts how often the text box was emptied */
let source = 'en';
let shared = sharedChoice();

const typing = new Typing(byId('text'), { send, clear, enter });
const picker = new Picker({ choice, button: byId('picker-button'), words: byId('picker-words'),
  panel: byId('picker-panel'), changed: pick });
new Listening({ button: byId('listen'), dialog: byId('voice'), source: () => source, heard });
new Files({ root: byId('file'), button: byId('open'), input: byId('file-input'), client, notice,
  choice: () => ({ source, languages: choice.selected }) });

const options = () => (choice.read.size ? { reading: true } : {});
const sendable = (text) => choice.selected.length > 0 && !tooLong(text);

function send(text, final) {
  if (!sendable(text)) return;
  const targets = choice.selected.map(({ tag }) => tag);
  cards.reserve(text);
  if (current && !current.final) current.revise(text, { targets, final, options: options() });
  else {
    current = client.translate(text, { targets, final, source, options: options() });
    Object.assign(current, { at: Date.now(), box, repeats: [] });
  }
  show(current);
}

function show(sentence) {
  for (const translation of sentence.languages.values()) cards.show(translation);
}

function clear() {
  current?.cancel();
  if (current && !current.final) captions.drop(current);
  current = null;
  box += 1;
  cards.clear();
  telling.forget();
  showBatch(null);
  notice('');
}

const captioned = () => document.body.dataset.view === 'captions';

/** Enter: in the captions view the next sentence begins in an empty box, once this one is sent. */
function enter() {
  typing.finish();
  if (!captioned() || !sendable(typing.text.trim())) return;
  box += 1;
  typing.empty();
}

/** Words of a voice: what is not final may still change. */
function heard(text, final) {
  typing.put(text, final);
  if (final) box += 1;
}

/** Whether a screen reader hears a language: what is pinned, else all; of captions what is seen. */
function audible(tag) {
  if (captioned()) return captions.shows(tag);
  const some = choice.selected.some((language) => choice.pinned.has(language.tag));
  return !some || choice.pinned.has(tag);
}

function arrange() {
  cards.arrange(choice.selected, choice.pinned, choice.read);
  captions.arrange(choice.selected, choice.pinned);
}

/** Another choice of languages: the cards follow, and the sentence is sent for them. */
function pick() {
  arrange();
  notice(choice.selected.length ? '' : t('Choose a language to translate into.'));
  if (typing.text.trim()) typing.again();
}

/** What the menu of a card, or a key on it, asks for. */
function act(what, tag, { at } = {}) {
  if (what === 'again') {
    again(tag);
    return;
  }
  if (what === 'speak') {
    speak(cards.text(tag), tag);
    return;
  }
  if (what === 'read') {
    read(tag);
    return;
  }
  if (what === 'pin') choice.pin(tag);
  if (what === 'earlier') choice.move(tag, -1);
  if (what === 'later') choice.move(tag, 1);
  if (what === 'place') choice.place(tag, at);
  if (what === 'remove') choice.toggle(tag, false);
  picker.draw();
  arrange();
  cards.focus(tag);
}

/** One language once more, as a sentence of its own beside the current one. */
function again(tag) {
  if (!current?.text) return;
  const repeat = client.translate(current.text,
    { targets: [tag], final: true, source, options: options() });
  current.repeats.push(repeat);
  show(repeat);
}

/** One language in Latin letters too, or no longer; what stands there is asked for once more. */
function read(tag) {
  choice.toggleRead(tag);
  arrange();
  if (choice.read.has(tag)) again(tag);
}

function notice(said) { byId('notice').textContent = said; }

function tooLong(text) {
  const most = client.limits?.max_text ?? Infinity;
  const length = codePoints(text);
  if (length > most) {
    notice(t('{length} of at most {most} characters: please shorten the text.', { length, most }));
  } else notice(length > most * NEAR ? t('{length} of {most} characters', { length, most }) : '');
  return length > most;
}

/** Which languages are offered follows from the one the person writes in. */
function offer() {
  const { languages } = client;
  choice.offer(languages.filter(({ sources }) => source === 'auto' || sources.includes(source)));
  if (shared) choice.share(shared.to);
  shared = null; /* from here on the person chooses */
  byId('text').lang = source === 'auto' ? '' : source;
  picker.draw();
  arrange();
}

function sources(languages) {
  const tags = [...new Set(languages.flatMap((language) => language.sources))];
  const wanted = [shared?.from, byId('source').value].find((tag) => tags.includes(tag));
  source = wanted ?? commonSource(languages);
  const name = (tag) => languageName({ tag,
    name: new Intl.DisplayNames('en', { type: 'language' }).of(tag) });
  byId('source').replaceChildren(...tags.map((tag) => new Option(name(tag), tag)));
  byId('source').value = source;
}

function view(name) {
  document.body.dataset.view = name;
  byId('captions').hidden = name !== 'captions';
  awake.keep(name === 'captions');
  for (const translation of current?.languages.values() ?? []) captions.show(current, translation);
  typing.fit();
  byId('text').focus();
}

client.on('state', (detail) => connection.show(detail));
client.on('languages', ({ languages, model }) => {
  sources(languages);
  offer();
  showModel({ model, languages });
  /* Typed before the service was there, or restored by the browser. */
  if (!current && typing.text.trim()) typing.again();
});
client.on('update', ({ sentence, translation }) => {
  if (sentence === current) captions.show(sentence, translation);
  if (sentence === current && audible(translation.language)) telling.hear(translation);
  if (sentence === current || current?.repeats.includes(sentence)) cards.show(translation);
});
client.on('batch', ({ sentence, batch }) => {
  const ok = [...sentence.languages.values()].filter(({ status }) => status === 'ok');
  if (sentence.final && sentence.at && ok.length) {
    const { at, text, request: { source: from } } = sentence;
    const translations = Object.fromEntries(ok.map(({ language, text: said }) => [language, said]));
    past.add({ at, end: Date.now(), from, text, translations }, sentence.box);
  }
  if (sentence === current) showBatch(batch);
});
client.on('error', ({ code, message, sentence }) => {
  if (sentence && sentence !== current) return;
  notice(code === 'busy' ? t('The service has too much to do. Try again in a moment.') : message);
});

byId('clear').addEventListener('click', () => typing.clear());
byId('source').addEventListener('change', ({ target }) => {
  source = target.value;
  typing.clear();
  offer();
});
byId('to-history').addEventListener('click', () => past.open());
byId('to-captions').addEventListener('click', () => view('captions'));
byId('from-captions').addEventListener('click', () => view('cards'));
byId('captions-screen').addEventListener('click', () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen();
});
byId('share').addEventListener('click', async () => {
  const link = shareLink({ from: source, to: choice.selected.map(({ tag }) => tag) });
  try {
    await navigator.clipboard.writeText(link);
    notice(t('A link to these languages was copied.'));
    setTimeout(() => notice(''), NOTICE_MS);
  } catch {
    location.hash = new URL(link).hash; /* the address line has it, then */
  }
});
addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && captioned() && !event.defaultPrevented) view('cards');
});
examples((text) => typing.put(text, true));
themes();
words();
typing.fit();
client.connect();
delete document.documentElement.dataset.words;
navigator.serviceWorker?.register(new URL('sw.js', import.meta.url)).catch(() => {});
