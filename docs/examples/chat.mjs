/* chat.mjs: a chat room where each member reads their own language.
 *
 *   npm install ws
 *   node docs/examples/chat.mjs 8081 ws://127.0.0.1:8080/v1/live
 *
 * Open http://127.0.0.1:8081/?name=Ann&language=en in one window, ?name=Ben&language=de in another.
 * A message goes once to the service, for all languages in the room; members see their own grow.
 */
import { createServer } from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';
import { Hydraglot } from '../../web/hydraglot.js';

const [port = '8081', url = 'ws://127.0.0.1:8080/v1/live'] = process.argv.slice(2);
const service = new Hydraglot({ url, WebSocket });
const members = new Map(); /* socket: {name, language} */
const authors = new WeakMap(); /* sentence: who said it */

function tell(language, message) {
  for (const [socket, member] of members) {
    if (member.language === language) socket.send(JSON.stringify(message));
  }
}

function say(author, text) {
  const targets = new Set([...members.values()].map(({ language }) => language));
  targets.delete(author.language);
  const languages = { source: author.language, targets: [...targets] };
  const sentence = service.translate(text, { ...languages, final: true });
  authors.set(sentence, author);
  tell(author.language, { id: sentence.id, name: author.name, text, status: 'ok' });
}

service.on('update', ({ sentence, translation: { language, text, status } }) => {
  const { name } = authors.get(sentence);
  const shown = status === 'failed' ? sentence.text : text;
  tell(language, { id: sentence.id, name, text: shown, status });
});

const page = `<!doctype html><meta charset="utf-8"><title>Chat</title>
<ul id="lines"></ul><form><input name="text" autofocus aria-label="Message"></form><script>
const room = new WebSocket(location.href.replace('http', 'ws'));
room.onmessage = ({ data }) => {
  const { id, name, text } = JSON.parse(data);
  const line = document.getElementById(id) ?? document.createElement('li');
  if (!line.id) document.getElementById('lines').append(Object.assign(line, { id }));
  line.textContent = name + ': ' + text;
};
document.forms[0].onsubmit = ({ target }) => { room.send(target.text.value); target.reset();
  return false; };
</script>`;
const server = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end(page));
new WebSocketServer({ server }).on('connection', (socket, { url: path }) => {
  const { name = 'Somebody', language = 'en' } = Object.fromEntries(
    new URL(path, 'http://chat').searchParams);
  members.set(socket, { name, language });
  socket.on('message', (text) => say(members.get(socket), String(text)));
  socket.on('close', () => members.delete(socket));
});
service.connect();
server.listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/`));
