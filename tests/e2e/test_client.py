"""web/hydraglot.js in a real browser, against a socket and a clock that the tests hold.

No service is needed: each test plays the server's side of docs/PROTOCOL.md event by event, so what
depends on order, loss and time is exact and takes no time.
"""
import functools
import http.server
import pathlib
import threading

import pytest

from browser import chromium

WEB = pathlib.Path(__file__).resolve().parents[2] / "web"

# Gives the test's body: a client, its sockets, a clock, and every event that the client emitted.
LAB = """
const finished = arguments[arguments.length - 1];
const real = { set: globalThis.setTimeout, clear: globalThis.clearTimeout, now: Date.now };
let now = 1e6, serial = 0, timers = [];
globalThis.setTimeout = (call, ms = 0) => {
  timers.push({ id: ++serial, at: now + ms, call });
  return serial;
};
globalThis.clearTimeout = (id) => { timers = timers.filter((timer) => timer.id !== id); };
Date.now = () => now;
const advance = (ms) => {
  const end = now + ms;
  for (;;) {
    const next = timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
    if (!next) break;
    timers = timers.filter((timer) => timer !== next);
    now = next.at;
    next.call();
  }
  now = end;
};
const sockets = [];
class Socket {
  constructor(url, protocols) {
    Object.assign(this, { url, protocols, sent: [] });
    sockets.push(this);
  }
  send(data) { this.sent.push(JSON.parse(data)); }
  close(code) { this.closed = code ?? 1005; }
  hear(...events) { for (const event of events) this.onmessage({ data: JSON.stringify(event) }); }
  fall(code) { this.onclose({ code }); }
  ready(more = {}) {
    const n = sockets.indexOf(this);
    this.hear({ type: 'session.ready', seq: 1, session: `s${n}`, key: `k${n}`, languages: [],
      model: { name: 'm' }, limits: { max_text: 2000, resume_grace_ms: 0 }, ...more });
  }
}
const log = [];
const run = async () => {
  const { Hydraglot, codePoints } = await import('/hydraglot.js');
  const open = (options = {}) => {
    const client = new Hydraglot({ WebSocket: Socket, ...options });
    for (const type of ['state', 'languages', 'update', 'done', 'batch', 'error']) {
      client.on(type, (detail) => log.push({ type, ...detail }));
    }
    client.connect();
    return client;
  };
  const ready = (options) => {
    const client = open(options);
    sockets.at(-1).ready();
    return [client, sockets.at(-1)];
  };
  const on = (s, rev, more) => ({ id: s.id, rev, language: 'de', epoch: 0, ...more });
  const tentative = (s, rev, text, more) =>
    on(s, rev, { type: 'translation.tentative', text, ...more });
  const committed = (s, rev, text, more) =>
    on(s, rev, { type: 'translation.committed', text, ...more });
  const done = (s, rev, status, text, more) =>
    on(s, rev, { type: 'translation.done', status, text, ...more });
  const batch = (s, rev) => ({ type: 'batch.done', id: s.id, rev, lanes: 1 });
  const text = (s) => s.languages.get('de').text;
  const settled = async (s) => Promise.race([s.finished, Promise.resolve('open')]);
  %s
};
run().then((value) => ({ value }), (error) => ({ error: error.stack })).then((result) => {
  Object.assign(globalThis, { setTimeout: real.set, clearTimeout: real.clear });
  Date.now = real.now;
  finished(result);
});
"""


class Files(http.server.SimpleHTTPRequestHandler):
    """The files of web/ under the service's content security policy."""

    def end_headers(self):
        self.send_header("Content-Security-Policy", "default-src 'self'")
        super().end_headers()

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def browser():
    handler = functools.partial(Files, directory=WEB)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, chromium() as driver:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        driver.get(f"http://127.0.0.1:{server.server_port}/mark.svg")
        yield driver
        server.shutdown()


@pytest.fixture
def lab(browser):
    def run(body):
        result = browser.execute_async_script(LAB % body)
        assert "error" not in result, result["error"]
        return result["value"]
    return run


def test_opens_with_the_subprotocol_and_the_token(lab):
    url, protocols, words = lab("""
        open({ token: 'abc' });
        sockets[0].ready({ languages: [{ tag: 'de' }] });
        return [sockets[0].url, sockets[0].protocols,
          log.map((entry) => entry.state ?? entry.languages[0].tag)];""")
    assert url.startswith("ws://127.0.0.1:") and url.endswith("/v1/live")
    assert protocols == ["hydraglot.v1", "hydraglot.token.abc"]
    assert words == ["connecting", "ready", "de"]


def test_revisions_rise_and_keep_their_targets(lab):
    sent = lab("""
        const [client, socket] = ready({ source: 'en' });
        const a = client.translate('Where', { targets: ['de', 'ja'] });
        a.revise('Where is');
        const b = client.translate('Hello', { targets: ['fr'], source: 'nl', final: true });
        a.revise('Where is it?', { final: true, targets: ['ja'] });
        return socket.sent;""")
    assert [(m["type"], m["rev"], m["final"], m["targets"], m["source"]) for m in sent] == [
        ("translate", 1, False, ["de", "ja"], "en"), ("translate", 2, False, ["de", "ja"], "en"),
        ("translate", 1, True, ["fr"], "nl"), ("translate", 3, True, ["ja"], "en")]
    assert sent[0]["id"] == sent[1]["id"] == sent[3]["id"] != sent[2]["id"]


def test_committed_and_tentative_join(lab):
    texts = lab("""
        const [client, socket] = ready();
        const s = client.translate('Where is the train?', { targets: ['de'], final: true });
        const texts = [];
        for (const event of [tentative(s, 1, 'Wo ist'), committed(s, 1, 'Wo'),
          committed(s, 1, ' ist der'), tentative(s, 1, ' Zug'),
          done(s, 1, 'ok', 'Wo ist der Zug?')]) {
          socket.hear(event);
          const { committed: solid, tentative: rest } = s.languages.get('de');
          texts.push([solid, rest]);
        }
        return texts;""")
    assert texts == [["", "Wo ist"], ["Wo", " ist"], ["Wo ist der", ""], ["Wo ist der", " Zug"],
                     ["Wo ist der Zug?", ""]]


def test_a_higher_epoch_begins_anew_and_a_lower_one_is_late(lab):
    texts = lab("""
        const [client, socket] = ready();
        const s = client.translate('a', { targets: ['de'] });
        const texts = [];
        for (const event of [committed(s, 1, 'Wo ist'), tentative(s, 1, ' der Zug'),
          committed(s, 1, 'Wer', { epoch: 1 }), committed(s, 1, ' sein', { epoch: 0 })]) {
          socket.hear(event);
          texts.push(text(s));
        }
        return texts;""")
    assert texts == ["Wo ist", "Wo ist der Zug", "Wer", "Wer"]


def test_old_revisions_never_overwrite_newer_text(lab):
    result = lab("""
        const [client, socket] = ready();
        const s = client.translate('a', { targets: ['de'] });
        s.revise('ab');
        socket.hear(tentative(s, 1, 'alt'));
        const before = text(s);
        socket.hear(done(s, 1, 'superseded', 'al'), batch(s, 1), tentative(s, 2, 'neu'));
        socket.hear(tentative(s, 1, 'spät'), done(s, 1, 'ok', 'ganz spät'));
        socket.hear(done(s, 1, 'failed', ''));
        const { text: now, rev, status } = s.languages.get('de');
        return [before, now, rev, status, s.settled, log.some(({ type }) => type === 'done')];""")
    assert result == ["alt", "neu", 2, "running", False, False]


def test_failed_and_cancelled_ends(lab):
    result = lab("""
        const [client, socket] = ready();
        const s = client.translate('a', { targets: ['de', 'xx'], final: true });
        socket.hear(done(s, 1, 'failed', '', { language: 'xx', code: 'unknown_language' }));
        const early = await settled(s);
        s.cancel();
        socket.hear(committed(s, 1, 'Wo'), done(s, 1, 'cancelled', 'Wo ist'), batch(s, 1));
        const { translations, batch: figures } = await s.finished;
        return [early, socket.sent.at(-1).type, figures.lanes,
          [translations.de, translations.xx].map((t) => [t.status, t.code ?? '', t.text])];""")
    assert result == ["open", "cancel", 1,
                      [["cancelled", "", "Wo"], ["failed", "unknown_language", ""]]]


def test_a_final_sentence_takes_no_edit(lab):
    assert "final" in lab("""
        const [client] = ready();
        const s = client.translate('a', { targets: ['de'], final: true });
        try { s.revise('b'); return 'taken'; } catch ({ message }) { return message; }""")


def test_unknown_events_and_bad_json(lab):
    result = lab("""
        const [client, socket] = ready();
        const s = client.translate('a', { targets: ['de'] });
        socket.hear({ type: 'translation.sung', id: s.id, rev: 1, language: 'de', text: 'la' });
        socket.hear(tentative({ id: 'stranger' }, 1, 'x'));
        socket.hear(tentative(s, 1, 'x', { language: 'fr' }));
        socket.onmessage({ data: '{' });
        socket.hear(tentative(s, 1, 'gut', { mood: 'new field' }));
        return [text(s), log.filter(({ type }) => type === 'error').map(({ code }) => code)];""")
    assert result == ["gut", ["bad_json"]]


def test_lengths_are_code_points_and_text_is_well_formed(lab):
    result = lab(r"""
        const [client, socket] = ready();
        const fits = client.translate('😀'.repeat(2000), { targets: ['de'] });
        const s = client.translate('😀'.repeat(2001), { targets: ['de'], final: true });
        const { error, translations } = await s.finished;
        client.translate('a\uD83D b', { targets: ['de'] });
        return [codePoints('a😀é'), socket.sent.map(({ id }) => id), s.id, error.code,
          translations.de.status, socket.sent.at(-1).text];""")
    length, sent, refused, code, status, text = result
    assert length == 3 and len(sent) == 2 and refused not in sent
    assert (code, status, text) == ("text_too_long", "failed", "a\ufffd b")


def test_busy_is_tried_again_under_a_higher_rev_and_not_for_ever(lab):
    revs, quiet, errors, status = lab("""
        const [client, socket] = ready();
        const s = client.translate('a', { targets: ['de'] });
        const busy = () => socket.hear({ type: 'error', code: 'busy', message: 'full', retry: true,
          id: s.id, rev: s.rev, retry_after_ms: 70 });
        busy();
        advance(69);
        const quiet = socket.sent.length;
        advance(1);
        for (let i = 0; i < 10; i += 1) { busy(); advance(70); }
        return [socket.sent.map(({ rev }) => rev), quiet,
          log.filter(({ type }) => type === 'error').length, s.languages.get('de').status];""")
    assert revs == [1, 2, 3, 4, 5, 6] and quiet == 1 and errors >= 1 and status == "failed"


def test_a_lost_connection_is_opened_again_with_growing_random_pauses(lab):
    pauses, states = lab("""
        open();
        for (let i = 0; i < 9; i += 1) {
          sockets.at(-1).fall(1006);
          advance(log.at(-1).retry_ms);
        }
        return [log.filter(({ state }) => state === 'waiting').map(({ retry_ms }) => retry_ms),
          sockets.length];""")
    assert states == 10
    for attempt, pause in enumerate(pauses):
        longest = min(10000, 250 * 2 ** attempt)
        assert longest / 2 <= pause <= longest
    assert len({pause / min(10000, 250 * 2 ** n) for n, pause in enumerate(pauses)}) > 1


def test_what_was_not_answered_is_sent_again_to_the_restarted_service(lab):
    result = lab("""
        const [client, first] = ready();
        const s = client.translate('Where is it?', { targets: ['de'], final: true });
        const answered = client.translate('Yes', { targets: ['de'], final: true });
        first.hear(committed(s, 1, 'Wo', { epoch: 3 }));
        first.hear(done(answered, 1, 'ok', 'Ja'), batch(answered, 1));
        first.fall(1001);
        const meanwhile = client.translate('No', { targets: ['de'] });
        advance(log.at(-1).retry_ms);
        const second = sockets.at(-1);
        second.ready();
        const kept = text(s);
        first.hear(committed(s, 9, 'ghost'));
        second.hear(committed(s, 2, 'Wo ist', { epoch: 0 }));
        const [id, rev] = [s.id, s.rev];
        return [second.sent.map((m) => [m.id, m.rev, m.text]), [s.id, answered.id, meanwhile.id],
          kept, text(s)];""")
    sent, (lost, _, meanwhile), kept, fresh = result
    assert sent == [[lost, 2, "Where is it?"], [meanwhile, 2, "No"]]
    assert (kept, fresh) == ("Wo", "Wo ist")


def test_a_stopping_service_leaves_its_sentence_to_the_next(lab):
    sent = lab("""
        const [client, first] = ready();
        const s = client.translate('a', { targets: ['de'], final: true });
        first.hear(done(s, 1, 'failed', '', { code: 'shutting_down' }), batch(s, 1));
        first.fall(1001);
        advance(log.at(-1).retry_ms);
        sockets.at(-1).ready();
        return sockets.at(-1).sent.map(({ text, rev }) => [text, rev]);""")
    assert sent == [["a", 2]]


def test_close_codes(lab):
    denied, sockets, crowded = lab("""
        const [client, socket] = ready();
        socket.fall(1008);
        advance(60000);
        const answer = [client.state, sockets.length];
        client.connect();
        sockets.at(-1).fall(4009);
        return [...answer, log.at(-1).retry_ms];""")
    assert (denied, sockets) == ("denied", 1) and crowded >= 5000


def test_a_silent_connection_is_asked_and_then_given_up(lab):
    result = lab("""
        const [client, socket] = ready();
        advance(20000);
        const asked = socket.sent.map(({ type }) => type);
        socket.hear({ type: 'pong', t: 1 });
        advance(19999);
        const patient = client.state;
        advance(5001);
        return [asked, patient, client.state, socket.closed !== undefined];""")
    assert result == [["ping"], "ready", "waiting", True]


def test_waking_up_ends_the_pause_and_asks_a_quiet_connection(lab):
    result = lab("""
        const [client, socket] = ready();
        globalThis.dispatchEvent(new Event('pageshow'));
        const asked = socket.sent.map(({ type }) => type);
        advance(5000);
        const lost = client.state;
        globalThis.dispatchEvent(new Event('online'));
        const again = [client.state, sockets.length];
        client.close();
        globalThis.dispatchEvent(new Event('online'));
        advance(60000);
        return [asked, lost, ...again, client.state, sockets.length];""")
    assert result == [["ping"], "waiting", "connecting", 2, "closed", 2]


def test_cancelling_without_a_connection_ends_the_sentence(lab):
    status, sent = lab("""
        const client = open();
        const s = client.translate('a', { targets: ['de'] });
        s.cancel();
        const { translations } = await s.finished;
        sockets[0].ready();
        return [translations.de.status, sockets[0].sent.length];""")
    assert (status, sent) == ("cancelled", 0)


KEPT = """
        const kept = { limits: { resume_grace_ms: 60000 } };
        const lose = () => { sockets.at(-1).fall(1006); advance(log.at(-1).retry_ms); };
        const client = open();
        sockets[0].ready(kept);
"""


def test_a_kept_session_is_resumed_and_nothing_is_heard_twice(lab):
    asked, again, texts, ends, others = lab(KEPT + """
        const s = client.translate('Where is it?', { targets: ['de'], final: true });
        sockets[0].hear(committed(s, 1, 'Wo', { seq: 2 }), tentative(s, 1, ' ist', { seq: 3 }));
        lose();
        const second = sockets[1];
        const before = client.state;
        second.ready(kept);
        const asked = [before, client.state, second.sent[0]];
        second.hear({ type: 'session.resumed', session: 's0', key: 'new', from_seq: 3 });
        const again = [client.state, second.sent.slice(1).map(({ id, rev }) => [id, rev])];
        const texts = [];
        for (const event of [committed(s, 1, 'Wo', { seq: 2 }), committed(s, 1, ' ist', { seq: 4 }),
          { type: 'error', code: 'stale_rev', id: s.id, rev: 1, seq: 5 },
          committed(s, 1, ' es?', { seq: 6 }), done(s, 1, 'ok', 'Wo ist es?', { seq: 7 }),
          { ...batch(s, 1), seq: 8 }, done(s, 1, 'ok', 'Wo ist es?', { seq: 7 })]) {
          second.hear(event);
          texts.push(text(s));
        }
        await s.finished;
        lose();
        sockets[2].ready(kept);
        return [asked, again, texts, log.filter(({ type }) => type === 'done').length,
          [sockets[2].sent, log.filter(({ type }) => type === 'error').length]];""")
    assert asked == ["connecting", "connecting",
                     {"type": "resume", "session": "s0", "key": "k0", "last_seq": 3}]
    assert again == ["ready", [["s1", 1]]], "what may be lost goes out under its own rev"
    assert texts == ["Wo ist"] * 3 + ["Wo ist es?"] * 4 and ends == 1
    assert others == [[{"type": "resume", "session": "s0", "key": "new", "last_seq": 8}], 0]


def test_what_changed_while_the_connection_was_away_goes_out_on_resuming(lab):
    sent = lab(KEPT + """
        const a = client.translate('a', { targets: ['de'] });
        const b = client.translate('b', { targets: ['de'] });
        sockets[0].fall(1006);
        a.revise('aa');
        b.cancel();
        const c = client.translate('c', { targets: ['de'], final: true });
        advance(log.findLast(({ retry_ms }) => retry_ms).retry_ms);
        sockets[1].ready(kept);
        sockets[1].hear({ type: 'session.resumed', session: 's0', key: 'new', from_seq: 2 });
        return sockets[1].sent.slice(1).map(({ type, id, rev }) => [type, id, rev ?? 0]);""")
    assert sent == [["translate", "s1", 2], ["translate", "s3", 1], ["cancel", "s2", 0]]


@pytest.mark.parametrize("code", ["resume_gone", "unknown_type"])
def test_a_session_that_is_gone_begins_anew(lab, code):
    sent, errors, now = lab(KEPT + """
        const s = client.translate('a', { targets: ['de'], final: true });
        sockets[0].hear(committed(s, 1, 'Wo', { seq: 9 }));
        lose();
        sockets[1].ready(kept);
        sockets[1].hear({ type: 'error', code: '%s', message: '', seq: 2 });
        const before = text(s);
        sockets[1].hear(committed(s, 2, 'Wer', { seq: 3 }));
        return [sockets[1].sent.map(({ type, rev }) => [type, rev ?? 0]),
          log.filter(({ type }) => type === 'error').length, [before, text(s)]];""" % code)
    assert sent == [["resume", 0], ["translate", 2]] and errors == 0
    assert now == ["Wo", "Wer"]


def test_defaults_of_the_session_outlive_it(lab):
    sent = lab("""
        const [client, first] = ready();
        client.update({ source: 'en' });
        client.update({ targets: ['de'] });
        first.fall(1006);
        advance(log.at(-1).retry_ms);
        sockets[1].ready();
        return [...first.sent, ...sockets[1].sent];""")
    both = {"type": "session.update", "source": "en", "targets": ["de"]}
    assert sent == [{"type": "session.update", "source": "en"}, both, both]


def test_the_oldest_ended_sentence_makes_room_and_a_running_one_is_cancelled(lab):
    sent, ended, kept, back = lab("""
        const [client, socket] = ready();
        const all = Array.from({ length: 64 },
          (_, n) => client.translate(`text ${n}`, { targets: ['de'] }));
        socket.hear(done(all[1], 1, 'ok', 'eins'), batch(all[1], 1));
        client.translate('takes the place of the ended one', { targets: ['de'] });
        const before = [socket.sent.some(({ type }) => type === 'cancel'), all[0].settled];
        client.translate('of the oldest', { targets: ['de'] });
        const { translations } = await all[0].finished;
        socket.hear(committed(all[1], 1, 'late'));
        const kept = text(all[1]);
        all[1].revise('again');
        socket.hear(committed(all[1], all[1].rev, 'wieder'));
        return [before, [socket.sent.filter(({ type }) => type === 'cancel').map(({ id }) => id),
          translations.de.status], kept, [all[1].id, text(all[1]), all[2].settled]];""")
    assert sent == [False, False] and ended[0] == ["s1", "s3"] and ended[1] == "cancelled"
    assert kept == "eins" and back == ["s67", "wieder", True]


def test_a_sentence_that_made_room_without_a_connection_is_cancelled_on_resuming(lab):
    ids = lab(KEPT + """
        const first = client.translate('a', { targets: ['de'] });
        sockets[0].fall(1006);
        const { retry_ms } = log.at(-1);
        for (let n = 0; n < 64; n += 1) client.translate(`text ${n}`, { targets: ['de'] });
        await first.finished;
        advance(retry_ms);
        sockets[1].ready(kept);
        sockets[1].hear({ type: 'session.resumed', session: 's0', key: 'new', from_seq: 2 });
        return sockets[1].sent.filter(({ type }) => type === 'cancel').map(({ id }) => id);""")
    assert ids == ["s1"]


def test_a_language_that_is_asked_for_again_goes_on_where_it_was(lab):
    text, heard, renewed = lab("""
        const [client, socket] = ready();
        const s = client.translate('Where is', { targets: ['de', 'fr'] });
        socket.hear(committed(s, 1, 'Wo', { epoch: 2 }));
        s.revise('Where is it', { targets: ['fr'] });
        const updates = log.length;
        socket.hear(committed(s, 1, ' ist', { epoch: 2 }));
        const heard = log.length - updates;
        s.revise('Where is it?', { targets: ['de', 'fr'] });
        socket.hear(committed(s, 3, ' es?', { epoch: 2 }));
        const whole = text(s);
        s.revise('Where is it? Yes', { targets: ['fr'] });
        socket.fall(1006);
        advance(log.at(-1).retry_ms);
        sockets[1].ready();
        s.revise('Where is it? Yes.', { targets: ['de'] });
        sockets[1].hear(committed(s, s.rev, 'Wo ist es? Ja.'));
        return [whole, heard, text(s)];""")
    assert (text, heard, renewed) == ("Wo ist es?", 0, "Wo ist es? Ja.")


def test_a_revision_after_a_cancel_without_a_connection_is_not_cancelled(lab):
    sent = lab(KEPT + """
        const s = client.translate('a', { targets: ['de'] });
        sockets[0].fall(1006);
        s.cancel();
        s.revise('ab');
        advance(log.findLast(({ retry_ms }) => retry_ms).retry_ms);
        sockets[1].ready(kept);
        sockets[1].hear({ type: 'session.resumed', session: 's0', key: 'new', from_seq: 2 });
        return sockets[1].sent.slice(1).map(({ type, rev }) => [type, rev]);""")
    assert sent == [["translate", 3]]


def test_what_was_cancelled_is_not_translated_after_all(lab):
    refused, again, resumed = lab(KEPT + """
        const busy = client.translate('a', { targets: ['de'] });
        busy.cancel();
        sockets[0].hear({ type: 'error', code: 'busy', message: '', retry: true, id: busy.id,
          rev: 1, seq: 2 });
        advance(9000);
        const refused = [busy.settled, sockets[0].sent.map(({ type }) => type)];
        const s = client.translate('b', { targets: ['de'] });
        s.cancel();
        lose();
        sockets[1].ready(kept);
        sockets[1].hear({ type: 'session.resumed', session: 's0', key: 'new', from_seq: 3 });
        const resumed = sockets[1].sent.slice(1).map(({ type, id }) => [type, id]);
        lose();
        sockets[2].ready();
        const { translations } = await s.finished;
        return [refused, [sockets[2].sent.length, translations.de.status], resumed];""")
    assert refused == [True, ["translate", "cancel"]]
    assert resumed == [["translate", "s2"], ["cancel", "s2"]]
    assert again == [0, "cancelled"]
