/* app.js: the page. Ties the box, the cards, the picker and the connection together.
 *
 * One sentence of the protocol is current at a time. A keystroke revises it; after its final
 * revision the next edit begins a new one, whose cards keep the old text, dimmed, till new text
 * comes.
 */
import { Hydraglot, codePoints } from './hydraglot.js';
import { Cards } from './cards.js';
import { Picker, commonSource } from './languages.js';
import { Typing } from './typing.js';
import { Connection, examples, showBatch, showModel, themes } from './page.js';

const NEAR = 0.8; /* of the longest text: from here on its length is shown */

const byId = (id) => document.getElementById(id);
const client = new Hydraglot();
const cards = new Cards(byId('cards'), byId('card'));
const connection = new Connection(() => client.wake());
let current = null;
let source = 'en';

const typing = new Typing(byId('text'), { send, clear });
const picker = new Picker({
  button: byId('picker-button'),
  words: byId('picker-words'),
  panel: byId('picker-panel'),
  changed: pick,
});

function send(text, final) {
  const targets = picker.selected.map(({ tag }) => tag);
  if (!targets.length || tooLong(text)) return;
  cards.reserve(text);
  if (current && !current.final) current.revise(text, { targets, final });
  else current = client.translate(text, { targets, final, source });
  for (const translation of current.languages.values()) cards.show(translation);
}

function clear() {
  current?.cancel();
  current = null;
  cards.clear();
  showBatch(null);
  notice('');
}

/** Another choice of languages: the cards follow, and the sentence is sent for them. */
function pick() {
  cards.arrange(picker.selected);
  notice(picker.selected.length ? '' : 'Choose a language to translate into.');
  if (typing.text.trim()) typing.again();
}

function notice(words) { byId('notice').textContent = words; }

function tooLong(text) {
  const most = client.limits?.max_text ?? Infinity;
  const length = codePoints(text);
  if (length > most) notice(`${length} of at most ${most} characters: please shorten the text.`);
  else notice(length > most * NEAR ? `${length} of ${most} characters` : '');
  return length > most;
}

client.on('state', (detail) => connection.show(detail));
client.on('languages', ({ languages, model }) => {
  source = commonSource(languages);
  const offered = languages.filter(({ sources }) => source === 'auto' || sources.includes(source));
  if (source !== 'auto') {
    byId('text').lang = source;
    byId('source-name').textContent = new Intl.DisplayNames('en', { type: 'language' }).of(source);
  }
  picker.offer(offered);
  cards.arrange(picker.selected);
  showModel({ model, languages });
  /* Typed before the service was there, or restored by the browser. */
  if (!current && typing.text.trim()) typing.again();
});
client.on('update', ({ sentence, translation }) => {
  if (sentence === current) cards.show(translation);
});
client.on('batch', ({ sentence, batch }) => {
  if (sentence === current) showBatch(batch);
});
client.on('error', ({ code, message, sentence }) => {
  if (sentence && sentence !== current) return;
  notice(code === 'busy' ? 'The service has too much to do. Try again in a moment.' : message);
});

byId('clear').addEventListener('click', () => typing.clear());
examples((text) => typing.put(text));
themes();
typing.fit();
client.connect();
