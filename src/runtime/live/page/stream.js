/** The connection: server-sent events read with fetch, because EventSource cannot send a token. It comes back by itself, goes when
 *  the page is hidden for a while, and says what it is doing. */

/** @import { LiveFrame } from '../live-frame.ts' */
/** @import { LiveHello } from '../live-feed.ts' */

/** `lost` may be with a reason that the server gave; `denied` waits for a token.
 *  @typedef {{ readonly kind: 'connecting' | 'open' | 'hidden' }
 *    | { readonly kind: 'starting' }
 *    | { readonly kind: 'denied', readonly hadToken: boolean }
 *    | { readonly kind: 'lost', readonly why: string, readonly retryAtMs: number, readonly hasSaidBye: boolean }} StreamState */

/** @typedef {{ onHello(hello: LiveHello): void, onFrame(frame: LiveFrame): void, onState(state: StreamState): void }} Listener */

const TOKEN_KEY = 'strowger-token';
/** Frames come every second: after so many without one the connection is dead, whatever TCP says. */
const SILENCE_MS = 5000;
const HIDDEN_LIMIT_MS = 30_000;
const STARTING_RETRY_MS = 500;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 8000;
const FULL_RETRY_MS = 15_000;

export class LiveStream {
  /** @type {Listener} */
  #listener;
  #retryMs = FIRST_RETRY_MS;
  /** The server has said that it stops, and has not been met since. */
  #hasSaidBye = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #hiddenTimer;
  /** @type {AbortController | null} */
  #abort = null;

  /** @param {Listener} listener */
  constructor(listener) {
    this.#listener = listener;
    document.addEventListener('visibilitychange', () => this.#onVisibility());
    window.addEventListener('online', () => this.connect());
  }

  /** Now, whatever was planned. */
  connect() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.#run(abort).catch((error) => {
      if (!abort.signal.aborted) this.#lose(String(error));
    });
  }

  /** @param {string} token */
  useToken(token) {
    sessionStorage.setItem(TOKEN_KEY, token);
    this.connect();
  }

  /** The headers that the server's data is asked for with.
   *  @returns {Record<string, string>} */
  static headers() {
    const token = sessionStorage.getItem(TOKEN_KEY);
    return token === null ? {} : { authorization: `Bearer ${token}` };
  }

  /** @param {AbortController} abort */
  async #run(abort) {
    const { signal } = abort;
    let response;
    const dead = setTimeout(() => abort.abort(new Error('silence')), SILENCE_MS);
    try {
      response = await fetch('/live/events', { headers: LiveStream.headers(), signal, cache: 'no-store' });
    } catch {
      if (this.#abort === abort) this.#lose('The server does not answer.');
      return;
    } finally {
      clearTimeout(dead);
    }
    if (response.status === 401) return this.#deny(response);
    if (response.status !== 200 || response.body === null) return this.#refused(response);
    await this.#read(response.body, abort);
    if (this.#abort === abort) this.#lose('The connection broke off.');
  }

  /** Until the end of it.
   *  @param {ReadableStream<Uint8Array>} body
   *  @param {AbortController} abort */
  async #read(body, abort) {
    const decoder = new TextDecoder();
    const reader = body.getReader();
    let text = '';
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let dead;
    try {
      for (;;) {
        clearTimeout(dead);
        dead = setTimeout(() => abort.abort(new Error('silence')), SILENCE_MS);
        const { done, value } = await reader.read();
        if (done) return;
        text += decoder.decode(value, { stream: true });
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const event = parseEvent(text.slice(0, end));
          text = text.slice(end + 2);
          if (event.name === 'bye') this.#hasSaidBye = true;
          else if (event.name === 'hello') this.#open(event.data);
          else if (event.name === 'frame') this.#listener.onFrame(JSON.parse(event.data));
        }
      }
    } catch {
      // It broke off, or was given up: that it is over is all there is to know.
    } finally {
      clearTimeout(dead);
    }
  }

  /** @param {string} data */
  #open(data) {
    this.#retryMs = FIRST_RETRY_MS;
    this.#hasSaidBye = false;
    this.#listener.onHello(JSON.parse(data));
    this.#listener.onState({ kind: 'open' });
  }

  /** @param {Response} response */
  async #deny(response) {
    await response.text();
    const hadToken = sessionStorage.getItem(TOKEN_KEY) !== null;
    sessionStorage.removeItem(TOKEN_KEY);
    this.#listener.onState({ kind: 'denied', hadToken });
  }

  /** @param {Response} response */
  async #refused(response) {
    const text = (await response.text()).trim();
    if (text === 'starting') {
      this.#listener.onState({ kind: 'starting' });
      this.#timer = setTimeout(() => this.connect(), STARTING_RETRY_MS);
      return;
    }
    this.#retryMs = FULL_RETRY_MS;
    this.#lose(`The server says: ${text === '' ? response.status : text}.`);
  }

  /** @param {string} why */
  #lose(why) {
    this.#abort = null;
    const waitMs = this.#retryMs * (0.8 + 0.4 * Math.random());
    this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2);
    const hasSaidBye = this.#hasSaidBye;
    const reason = hasSaidBye ? 'The server has stopped.' : why;
    this.#listener.onState({ kind: 'lost', why: reason, retryAtMs: Date.now() + waitMs, hasSaidBye });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.connect(), waitMs);
  }

  /** A page that nobody sees shall cost the server nothing. */
  #onVisibility() {
    clearTimeout(this.#hiddenTimer);
    if (document.hidden) {
      this.#hiddenTimer = setTimeout(() => {
        clearTimeout(this.#timer);
        this.#abort?.abort();
        this.#abort = null;
        this.#listener.onState({ kind: 'hidden' });
      }, HIDDEN_LIMIT_MS);
    } else if (this.#abort === null) {
      this.connect();
    }
  }
}

/** @param {string} text
 *  @returns {{ name: string, data: string }} */
function parseEvent(text) {
  let name = '';
  let data = '';
  for (const line of text.split('\n')) {
    if (line.startsWith('event: ')) name = line.slice(7);
    else if (line.startsWith('data: ')) data += line.slice(6);
  }
  return { name, data };
}
