/* hydraglot.js: the client of hydraglot.v1 (docs/PROTOCOL.md), alone in one file for any app.
 *
 *   import { Hydraglot } from './hydraglot.js';
 *   const client = new Hydraglot({ url: 'wss://host/v1/live' });
 *   client.on('update', ({ translation }) => show(translation.language, translation.text));
 *   const sentence = client.translate('Where is the', { targets: ['de', 'ja'] });
 *   sentence.revise('Where is the station?', { final: true });
 *   const { translations } = await sentence.finished;
 *
 * In Node, where a global WebSocket may be missing, one is handed over:
 *
 *   import WebSocket from 'ws';
 *   const client = new Hydraglot({ url: 'ws://127.0.0.1:8080/v1/live', WebSocket });
 *
 * A *sentence* is one id of the protocol; each revision of its text gets the next rev. A lost
 * connection is opened again after a growing, random pause. Where the service kept the session it
 * is resumed: what was missed is heard once, and what the service may not have got is sent again
 * under its own rev, which the service refuses where it has it. Where the session is gone, all that
 * was not answered begins anew under the next rev. Nothing that arrives for an old revision
 * replaces what a newer one brought.
 */

const SUBPROTOCOL = 'hydraglot.v1';
const BACKOFF_MS = { first: 250, most: 10000, crowded: 5000 };
const IDLE_MS = 20000; /* quiet for so long: ask whether the service is still there */
const PONG_MS = 5000; /* no word after asking: the connection is dead */
const STEADY_MS = 5000; /* a connection that stood so long begins its backoff anew */
const RETRIES = 5; /* of one revision that the service was too busy for */
const SENTENCES = 64; /* remembered at once, as many as the service does */
const CLOSE = { done: 1000, token: 1008, crowded: 4009 };
const KNOWN = ['stale_rev', 'id_final']; /* answers to what the service has already */

/**
 * One language of one sentence. `text` is `committed` (never taken back) and then `tentative`.
 * @typedef {object} Translation
 * @property {string} language the tag as it was asked for
 * @property {number} rev the revision whose text this is
 * @property {number} epoch rises when the person's own edit takes committed words back
 * @property {string} committed
 * @property {string} tentative
 * @property {string} text
 * @property {'running'|'ok'|'failed'|'cancelled'} status of the newest revision
 * @property {string} [code] why it failed
 * @property {number} [first_ms]
 * @property {number} [total_ms]
 * @property {number} [tokens]
 * @property {string} [stop]
 * @property {string} [reading] of the text as it last ended, where options.reading asked for it
 * @property {string} [via]
 * @property {string} [source]
 * @property {boolean} [renewed] its session is gone; the text stands till more comes
 */

/**
 * @typedef {object} TranslateOptions
 * @property {string[]} [targets] BCP-47 tags or `plugin:NAME`; a revision keeps the last ones
 * @property {boolean} [final] the sentence is complete; its next edit needs a new sentence
 * @property {string} [source] BCP-47 tag or `auto`
 * @property {object} [options] passed on as it is: stream, reading, deadline_ms, ...
 * @property {{text: string, speaker?: string}[]} [context]
 */

/**
 * What of a WebSocket is used: the browser's, or any that behaves so.
 * @typedef {object} Socket
 * @property {(data: string) => void} send
 * @property {(code?: number) => void} close
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 * @property {((event: any) => void) | null} onerror
 */

/**
 * @typedef {object} HydraglotOptions
 * @property {string} [url] of /v1/live; default: on the server this module came from
 * @property {string} [token]
 * @property {string} [source] default source language, else `auto`
 * @property {new (url: string, protocols: string[]) => any} [WebSocket] default: the global one
 */

/** The length that the protocol means: Unicode code points, not UTF-16 units.
 *  @param {string} text */
export const codePoints = (text) => [...text].length;

/** Half a surrogate pair cannot be written in UTF-8; the replacement character stands for it.
 *  @param {string} text */
const wellFormed = (text) => text.replace(/\p{Surrogate}/gu, '\uFFFD');

/** @param {string} language @returns {Translation} */
const newTranslation = (language) => ({
  language, rev: 0, epoch: 0, committed: '', tentative: '', status: 'running', renewed: false,
  get text() { return this.committed + this.tentative; },
});

/** One sentence and its revisions; made by `Hydraglot.translate`. */
export class Sentence {
  #client;
  /** @type {(result: object) => void} */
  #settle = () => {};

  /** @param {Hydraglot} client */
  constructor(client) {
    this.#client = client;
    this.id = ''; /* given by the client when it takes the sentence in */
    this.rev = 0;
    this.text = '';
    this.final = false;
    this.stopped = false; /* cancelled since its newest revision */
    this.settled = true; /* the newest revision has its batch.done, or was refused */
    /** @type {{targets: string[], source: string}} what goes out beside the text */
    this.request = { targets: [], source: client.source };
    this.retries = 0;
    /** @type {any} */
    this.retry = 0; /* the timer of the next one */
    /** @type {any} */
    this.batch = null; /* batch.done of the newest revision */
    /** Resolves, and never rejects, when the newest revision has ended in every language.
     *  @type {Promise<any>} */
    this.finished = Promise.resolve();
    this.resent = 0; /* the rev that went out once more when its session was resumed */
    this.session = ''; /* of the service, that its epochs belong to */
    /** Of the newest revision.
     *  @type {Map<string, Translation>} */
    this.languages = new Map();
    /** All it was ever asked for in: the service goes on from there when one is asked for again.
     *  @type {Map<string, Translation>} */
    this.known = new Map();
  }

  /** The whole text again, longer or changed.
   *  @param {string} text @param {TranslateOptions} [options] */
  revise(text, options = {}) {
    if (this.final) throw new Error(`sentence ${this.id} is final; an edit needs a new one`);
    const { final = false, ...request } = options;
    this.text = wellFormed(text);
    this.final = final;
    this.stopped = false;
    this.retries = 0;
    Object.assign(this.request, request);
    this.languages = new Map(this.request.targets.map((tag) => [tag,
      this.known.get(tag) ?? newTranslation(tag)]));
    this.known = new Map([...this.known, ...this.languages]);
    if (this.settled) {
      this.finished = new Promise((resolve) => { this.#settle = resolve; });
    }
    this.settled = false;
    this.#client.submit(this);
    return this;
  }

  cancel() { this.#client.cancel(this); }

  /** For the client: ends the wait for `finished`.
   *  @param {object} result */
  settle(result) {
    this.settled = true;
    this.#settle({ sentence: this, translations: Object.fromEntries(this.languages), ...result });
  }
}

/**
 * Events (`on(type, detail => ...)`, or addEventListener with `event.detail`):
 * - `state` {state: 'connecting'|'ready'|'waiting'|'denied'|'closed', attempt, retry_ms, code}
 * - `languages` {languages, model, limits}: at each session's start, and when they change
 * - `update` {sentence, translation}: its text or status changed
 * - `done` {sentence, translation}: the newest revision ended in this language
 * - `batch` {sentence, batch}: it ended in all of them
 * - `error` {code, message, retry, sentence?}
 */
export class Hydraglot extends EventTarget {
  #options;
  /** @type {Socket | null} */
  #socket = null;
  #session = { id: '', key: '', seq: 0 }; /* the one that was heard last; id '': none */
  /** @type {any} */
  #fresh = null; /* what the new connection offers, while the old session is asked for */
  /** @type {Map<string, Sentence>} */
  #sentences = new Map();
  /** @type {object | null} */
  #defaults = null; /* of session.update, when there was one */
  /** @type {Set<string>} */
  #dropped = new Set(); /* ids cancelled while nobody listened */
  #serial = 0;
  #attempt = 0;
  #openedAt = 0;
  /** @type {any} */
  #retryTimer = 0;
  /** @type {any} */
  #quietTimer = 0;
  #heardAt = 0; /* when this connection said anything; 0: nothing yet */
  #asked = false; /* a ping went out and nothing came since */
  #wake = () => { if (globalThis.document?.visibilityState !== 'hidden') this.wake(); };

  /** @param {HydraglotOptions} [options] */
  constructor(options = {}) {
    super();
    const url = new URL(options.url ?? 'v1/live', import.meta.url);
    url.protocol = url.protocol.replace('http', 'ws');
    this.#options = { ...options, url: url.href };
    this.source = options.source ?? 'auto';
    this.state = 'closed';
    /* As session.ready told them, null before. */
    /** @type {any[]} */
    this.languages = [];
    /** @type {any} */
    this.model = null;
    /** @type {any} */
    this.limits = null;
  }

  /** Listens; returns the function that stops listening.
   *  @param {string} type @param {(detail: any) => void} listener */
  on(type, listener) {
    const wrapped = (/** @type {any} */ event) => listener(event.detail);
    this.addEventListener(type, wrapped);
    return () => this.removeEventListener(type, wrapped);
  }

  connect() {
    if (this.state !== 'closed' && this.state !== 'denied') return;
    globalThis.addEventListener?.('online', this.#wake);
    globalThis.addEventListener?.('pageshow', this.#wake);
    globalThis.document?.addEventListener('visibilitychange', this.#wake);
    this.#attempt = 0;
    this.#open();
  }

  close() {
    globalThis.removeEventListener?.('online', this.#wake);
    globalThis.removeEventListener?.('pageshow', this.#wake);
    globalThis.document?.removeEventListener('visibilitychange', this.#wake);
    this.#drop(CLOSE.done);
    this.#session = { id: '', key: '', seq: 0 };
    this.#setState('closed');
  }

  /** The page is seen again, or the network is back: do not sit out the pause. */
  wake() {
    if (this.state === 'waiting') this.#open();
    else if (this.state === 'ready') this.#ask();
  }

  /** A new sentence. Before the connection stands it waits.
   *  @param {string} text @param {TranslateOptions} options */
  translate(text, options) { return new Sentence(this).revise(text, options); }

  /** Ends what still runs of a sentence.
   *  @param {Sentence} sentence */
  cancel(sentence) {
    if (sentence.settled) return;
    sentence.stopped = true;
    if (sentence.retry || !this.#post({ type: 'cancel', id: sentence.id })) this.#abandon(sentence);
  }

  /** Ends a sentence at once; the service hears of it now, or when it is there again.
   *  @param {Sentence} sentence */
  #abandon(sentence) {
    if (!this.#post({ type: 'cancel', id: sentence.id })) this.#dropped.add(sentence.id);
    sentence.rev += 1; /* what still comes of the last one is late */
    this.#end(sentence, 'cancelled');
  }

  /** Takes a sentence in; the oldest goes, rather one that has ended. One that went and is revised
   * comes back under a new id: whether the service remembers the old one is not known.
   * @param {Sentence} sentence */
  #admit(sentence) {
    if (this.#sentences.has(sentence.id)) return;
    if (this.#sentences.size >= SENTENCES) {
      const all = [...this.#sentences.values()];
      const old = all.find(({ settled }) => settled) ?? all[0];
      this.#sentences.delete(old.id);
      if (!old.settled) this.#abandon(old);
    }
    this.#serial += 1;
    Object.assign(sentence, { id: `s${this.#serial}`, session: '' });
    this.#sentences.set(sentence.id, sentence);
  }

  /** For Sentence: sends the newest text under the next rev.
   *  @param {Sentence} sentence */
  submit(sentence) {
    this.#admit(sentence);
    this.#dropped.delete(sentence.id);
    clearTimeout(sentence.retry);
    sentence.retry = 0;
    sentence.rev += 1;
    for (const translation of sentence.languages.values()) {
      translation.status = 'running';
      delete translation.code;
    }
    if (this.state === 'ready') this.#transmit(sentence);
  }

  /** Sends the newest revision as it stands.
   *  @param {Sentence} sentence */
  #transmit(sentence) {
    if (sentence.session !== this.#session.id) {
      /* A new session begins at epoch 0 with nothing committed; the text stays until more comes. */
      for (const translation of sentence.known.values()) translation.renewed = true;
      sentence.session = this.#session.id;
    }
    const { id, rev, text, final, request } = sentence;
    if (this.limits?.max_text && codePoints(text) > this.limits.max_text) {
      const message = `the text has more than ${this.limits.max_text} characters`;
      queueMicrotask(() => this.#refused({ code: 'text_too_long', message, id, rev }));
      return;
    }
    this.#post({ type: 'translate', id, rev, text, final, ...request });
  }

  /** Defaults of the session for what follows, of it and of its successors.
   *  @param {{source?: string, targets?: string[], glossary?: object}} defaults */
  update(defaults) {
    this.#defaults = { ...this.#defaults, ...defaults };
    this.#post({ type: 'session.update', ...this.#defaults });
  }

  /** An Event with a detail: CustomEvent is missing from older Nodes.
   *  @param {string} type @param {object} detail */
  #emit(type, detail) { this.dispatchEvent(Object.assign(new Event(type), { detail })); }

  /** @param {string} state */
  #setState(state, detail = {}) {
    this.state = state;
    this.#emit('state', { state, attempt: this.#attempt, ...detail });
  }

  /** Sends, where a session stands.
   *  @param {object} message */
  #post(message) {
    if (this.state !== 'ready') return false;
    this.#socket?.send(JSON.stringify(message));
    return true;
  }

  #open() {
    this.#drop();
    const protocols = [SUBPROTOCOL];
    if (this.#options.token) protocols.push(`hydraglot.token.${this.#options.token}`);
    const Socket = this.#options.WebSocket ?? globalThis.WebSocket;
    /** @type {Socket} */
    const socket = new Socket(this.#options.url, protocols);
    this.#socket = socket;
    this.#fresh = null;
    this.#heardAt = 0;
    /* A socket that was given up keeps its listeners but is no longer heard. */
    socket.onmessage = ({ data }) => { if (socket === this.#socket) this.#hear(data); };
    socket.onclose = ({ code }) => { if (socket === this.#socket) this.#lost(code); };
    socket.onerror = () => {}; /* its close follows and says more */
    this.#setState('connecting');
    this.#quietTimer = setTimeout(() => this.#lost(), IDLE_MS);
  }

  /** @param {number} [code] */
  #drop(code) {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#quietTimer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(code);
  }

  /** @param {number} [code] of the close */
  #lost(code) {
    const steady = this.state === 'ready' && Date.now() - this.#openedAt > STEADY_MS;
    this.#drop();
    if (code === CLOSE.token) {
      this.#setState('denied', { code });
      return;
    }
    if (steady) this.#attempt = 0;
    const pause = Math.min(BACKOFF_MS.most, BACKOFF_MS.first * 2 ** this.#attempt);
    const retry_ms = Math.max(code === CLOSE.crowded ? BACKOFF_MS.crowded : 0,
      pause * (0.5 + Math.random() / 2));
    this.#attempt += 1;
    this.#retryTimer = setTimeout(() => this.#open(), retry_ms);
    this.#setState('waiting', { code, retry_ms });
  }

  /* One timer watches for silence and is set again when it fires, not for every frame. */
  #watch() {
    clearTimeout(this.#quietTimer);
    this.#asked = false;
    const quiet = Date.now() - this.#heardAt;
    if (quiet >= IDLE_MS) this.#ask();
    else this.#quietTimer = setTimeout(() => this.#watch(), IDLE_MS - quiet);
  }

  /* After a quiet while, and after any wake: a ping, and then a short patience. */
  #ask() {
    clearTimeout(this.#quietTimer);
    this.#asked = true;
    this.#post({ type: 'ping', t: Date.now() });
    this.#quietTimer = setTimeout(() => this.#lost(), PONG_MS);
  }

  /** @param {string} data a frame */
  #hear(data) {
    const first = this.#heardAt === 0;
    this.#heardAt = Date.now();
    if (first || this.#asked) this.#watch();
    let event;
    try {
      event = JSON.parse(data);
    } catch {
      this.#emit('error', { code: 'bad_json', message: 'the service sent no JSON', retry: false });
      return;
    }
    if (this.#repeated(event)) return;
    switch (event.type) {
      case 'session.ready': this.#greet(event); break;
      case 'session.resumed': this.#resumed(event); break;
      case 'languages.changed': this.#learn(event); break;
      case 'translation.committed':
      case 'translation.tentative': this.#grow(event); break;
      case 'translation.done': this.#done(event); break;
      case 'batch.done': this.#batch(event); break;
      case 'token.expiring': this.#emit('expiring', event); break;
      case 'error': this.#refused(event); break;
      default: /* a newer service may say more than this client knows */
    }
  }

  /** @param {any} event */
  #learn({ languages = this.languages, model = this.model, limits = this.limits }) {
    Object.assign(this, { languages, model, limits });
    this.#emit('languages', { languages, model, limits });
  }

  /** Was it heard before the connection broke? What a new connection says before the old session
   * is resumed counts for neither: a resumed session goes on where it was heard last.
   * @param {any} event */
  #repeated({ type, seq }) {
    if (seq === undefined || this.#fresh || type.startsWith('session.')) return false;
    if (seq <= this.#session.seq) return true;
    this.#session.seq = seq;
    return false;
  }

  /** A new connection has a session of its own; the old one, if there is one, is asked for first.
   *  @param {any} event */
  #greet(event) {
    this.#fresh = event;
    const { id: session, key, seq: last_seq } = this.#session;
    const kept = event.limits?.resume_grace_ms > 0;
    if (session && kept) {
      this.#socket?.send(JSON.stringify({ type: 'resume', session, key, last_seq }));
    } else this.#begin();
  }

  /** @param {any} event */
  #resumed({ session, key }) {
    Object.assign(this.#session, { id: session, key });
    this.#attempt = 0; /* a service that kept the session did not fail: no need to spare it */
    this.#ready((sentence) => {
      sentence.resent = sentence.rev;
      this.#transmit(sentence);
      if (sentence.stopped) this.#post({ type: 'cancel', id: sentence.id });
    });
    for (const id of this.#dropped) this.#post({ type: 'cancel', id });
    this.#dropped.clear();
  }

  /* The new connection's own session: nothing of an older one goes on. */
  #begin() {
    const { session: id, key, seq } = this.#fresh;
    this.#session = { id, key, seq };
    this.#dropped.clear();
    this.#ready((sentence) => {
      if (sentence.stopped) this.#end(sentence, 'cancelled');
      else this.submit(sentence);
    });
  }

  /** @param {(sentence: Sentence) => void} resend of each that is not answered */
  #ready(resend) {
    const fresh = this.#fresh;
    this.#fresh = null;
    this.#openedAt = Date.now();
    this.#setState('ready');
    if (this.#defaults) this.update({});
    this.#learn(fresh);
    for (const sentence of [...this.#sentences.values()]) if (!sentence.settled) resend(sentence);
  }

  /** The translation that an event speaks of, its epoch brought up to date; null for one that is
   * unknown or late.
   * @param {any} event @returns {{sentence: Sentence, translation: Translation} | null} */
  #find(event) {
    const sentence = this.#sentences.get(event.id);
    const translation = sentence?.known.get(event.language);
    if (!sentence || !translation || event.rev < translation.rev) return null;
    if (translation.renewed || event.epoch > translation.epoch) {
      /* What was committed may be taken back now, and stays until it is. */
      const shown = translation.renewed ? '' : translation.committed + translation.tentative;
      Object.assign(translation,
        { renewed: false, epoch: event.epoch, committed: '', tentative: shown });
    } else if (event.epoch < translation.epoch) return null;
    return { sentence, translation };
  }

  /** Of a language that is not asked for now nobody hears.
   *  @param {string} type @param {{sentence: Sentence, translation: Translation}} found */
  #tell(type, found) {
    if (found.sentence.languages.has(found.translation.language)) this.#emit(type, found);
  }

  /** @param {any} event */
  #grow(event) {
    const found = this.#find(event);
    if (!found) return;
    const { translation } = found;
    translation.rev = event.rev;
    if (event.type === 'translation.tentative') translation.tentative = event.text;
    else {
      const known = translation.tentative.startsWith(event.text);
      translation.committed += event.text;
      translation.tentative = known ? translation.tentative.slice(event.text.length) : '';
    }
    this.#tell('update', found);
  }

  /** @param {any} event */
  #done(event) {
    const newest = event.rev === this.#sentences.get(event.id)?.rev;
    /* Superseded, say: newer text is on its way, and the old one stands till then. */
    if (event.status !== 'ok' && !newest) return;
    const found = this.#find(event);
    if (!found) return;
    const { sentence, translation } = found;
    translation.rev = event.rev;
    if (event.status === 'ok') {
      if (sentence.final && newest) translation.committed = event.text;
      translation.tentative = event.text.slice(translation.committed.length);
      translation.reading = event.reading;
    }
    if (newest) {
      const { status, code, first_ms, total_ms, tokens, stop, via, source } = event;
      Object.assign(translation, { status, code, first_ms, total_ms, tokens, stop, via, source });
    }
    this.#tell('update', found);
    if (newest) this.#tell('done', found);
  }

  /** @param {any} batch */
  #batch(batch) {
    const sentence = this.#sentences.get(batch.id);
    if (!sentence || batch.rev !== sentence.rev) return;
    sentence.batch = batch;
    this.#emit('batch', { sentence, batch });
    const all = [...sentence.languages.values()];
    /* What a stopping service could not do is left open for the next one. */
    if (all.some(({ code }) => code === 'shutting_down')) return;
    if (sentence.final) this.#sentences.delete(sentence.id);
    sentence.settle({ batch });
  }

  /** @param {any} error */
  #refused(error) {
    if (this.#fresh && error.id === undefined) { /* resume_gone, or a service without resume */
      this.#begin();
      return;
    }
    const sentence = this.#sentences.get(error.id);
    /* Of what was sent again when resuming: the replay may have ended it by now. */
    const had = KNOWN.includes(error.code) && (!sentence || error.rev === sentence.resent);
    if (had) return;
    if (sentence && error.rev === sentence.rev && !sentence.settled) {
      if (sentence.stopped) {
        this.#end(sentence, 'cancelled');
        return;
      }
      if (error.retry && sentence.retries < RETRIES) {
        const pause = error.retry_after_ms ?? BACKOFF_MS.first * 2 ** sentence.retries;
        sentence.retries += 1;
        sentence.retry = setTimeout(() => this.submit(sentence), pause);
        return;
      }
      this.#end(sentence, 'failed', error);
    }
    this.#emit('error', { ...error, sentence });
  }

  /** Ends a revision that the service will say nothing about.
   *  @param {Sentence} sentence @param {'failed'|'cancelled'} status @param {any} [error] */
  #end(sentence, status, error) {
    clearTimeout(sentence.retry);
    sentence.retry = 0;
    for (const translation of sentence.languages.values()) {
      Object.assign(translation, { status, code: error?.code });
      this.#emit('update', { sentence, translation });
    }
    if (sentence.final) this.#sentences.delete(sentence.id);
    sentence.settle({ error });
  }
}
