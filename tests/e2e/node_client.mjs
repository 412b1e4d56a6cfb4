/* node_client.mjs: hydraglot.js in Node on the `ws` package: argv: URL, path of ws, sentences.
 *
 * Types each sentence in two revisions, one after another, and prints what it heard as JSON: the
 * translations, how often languages and sentences ended, what ended twice in one revision, and every
 * text that took back committed words.
 */
import { createRequire } from 'node:module';
import { Hydraglot } from '../../web/hydraglot.js';

const [url, ws, count] = process.argv.slice(2);
const client = new Hydraglot({ url, WebSocket: createRequire(import.meta.url)(ws) });
const targets = ['de', 'ja', 'ru'];
const heard = { translations: [], ends: 0, batches: 0, doubled: [], taken_back: [], errors: [],
  states: {} };
const solid = new Map();
const ended = new Set();

function end(key) {
  if (ended.has(key)) heard.doubled.push(key);
  ended.add(key);
}

client.on('state', ({ state }) => { heard.states[state] = (heard.states[state] ?? 0) + 1; });
client.on('error', ({ code }) => heard.errors.push(code));
client.on('done', ({ sentence: { id, rev }, translation: { language } }) => {
  heard.ends += 1;
  end(`${id} ${rev} ${language}`);
});
client.on('batch', ({ sentence: { id, rev } }) => {
  heard.batches += 1;
  end(`${id} ${rev}`);
});
client.on('update', ({ sentence, translation: { language, committed } }) => {
  const key = `${sentence.id} ${language}`;
  const before = solid.get(key) ?? '';
  if (!committed.startsWith(before)) heard.taken_back.push([before, committed]);
  solid.set(key, committed);
});
client.connect();
for (let n = 0; n < Number(count); n += 1) {
  const sentence = client.translate(`This is the`, { targets, source: 'en' });
  await new Promise((resolve) => { setTimeout(resolve, 15); });
  sentence.revise(`This is the sentence number ${n} of many.`, { final: true });
  const { translations } = await sentence.finished;
  heard.translations.push(targets.map((tag) => translations[tag].committed));
}
client.close();
console.log(JSON.stringify(heard));
