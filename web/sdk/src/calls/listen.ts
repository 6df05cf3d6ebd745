// Being reachable without being in a room: what rings for a person, as a stream of events, and an answer to it.
import { ask, type Fetch, refusalOf } from "../ask.ts";
import { RoundtableError, type RoundtableErrorCode, toRoundtableError } from "../errors.ts";
import { browserPlatform, type NetworkChange, type Platform, type TimerHandle } from "../platform.ts";
import type { Call, CallAnswer, CallEvent } from "../protocol.ts";
import { Backoff } from "../reconnect.ts";
import { type CallDirection, CallLog } from "./call_log.ts";
import { EventStream } from "./event_stream.ts";

/** A stream on which nothing came for this long is dead; the server says something every 15 seconds. */
export const STREAM_SILENCE_MS = 40_000;
/** A stream that stood for this long was a good one: the next loss begins with the first attempt again. */
const STEADY_MS = 10_000;

/** Who listens. */
export interface Reachable {
  /** To whom calls are: the `sub` of the token, or where nobody needs one, a name. */
  readonly identity: string;
  /** A token of that `sub`, where the server wants one. */
  readonly token?: string;
}

/** What one hears. */
export interface CallHandlers {
  /** A call rings, or it ended in this way; each once. Calls that the person makes are told too. */
  onCall(event: CallEvent, direction: CallDirection): void;
  /** A call ended while the connection was away, and nobody knows how. */
  onLost?(call: Call, direction: CallDirection): void;
  /** It rings from now on, at first or again. */
  onListening?(): void;
  /** The connection is lost; it is opened again by itself. */
  onInterrupted?(code: RoundtableErrorCode): void;
  /** The server does not let one listen, such as `token/missing`; nothing follows. */
  onRefused?(error: RoundtableError): void;
}

/**
 * Listens for calls until what is returned is called. `base` is where the server's pages are, as for `signalUrl`. Who is in a
 * room hears of calls there: `Room.on("call", …)`.
 */
export function listenForCalls(
  base: string | URL,
  who: Reachable,
  handlers: CallHandlers,
  platform: Platform = browserPlatform(),
): () => void {
  const listener = new CallListener(platform, base, who, handlers);
  return () => listener.close();
}

/**
 * Accepts or declines a call to `by.identity`, or cancels one from them, for who is in no room. Rejects with the server's
 * code: `call/unknown` for one that has ended, `call/forbidden`. A server with keys wants a token of that identity
 * (`token/grant`); without one, enter the room and answer by `Room.answerCall`.
 */
export function answerCall(
  base: string | URL,
  call: string,
  answer: CallAnswer,
  by: Reachable,
  fetch: Fetch = globalThis.fetch,
): Promise<Call> {
  const url = new URL(`api/v1/calls/${encodeURIComponent(call)}/answer`, base);
  return ask(fetch, url, { answer, by: by.identity }, by.token);
}

/** One stream after the other. */
class CallListener {
  readonly #platform: Platform;
  readonly #url: string;
  readonly #headers: Record<string, string>;
  readonly #handlers: CallHandlers;
  readonly #log: CallLog;
  readonly #identity: string;
  readonly #policy = new Backoff();
  readonly #offNetwork: () => void;
  /** Ends the present stream; another one is another object. */
  #stream = new AbortController();
  #attempt = 0;
  #openedAt: number | null = null;
  #retry: TimerHandle = null;
  #silence: TimerHandle = null;
  #isClosed = false;

  constructor(platform: Platform, base: string | URL, who: Reachable, handlers: CallHandlers) {
    this.#platform = platform;
    this.#handlers = handlers;
    this.#identity = who.identity;
    this.#url = new URL(`api/v1/users/${encodeURIComponent(who.identity)}/events`, base).href;
    const token: Record<string, string> =
      who.token === undefined ? {} : { authorization: `Bearer ${who.token}` };
    this.#headers = { accept: "text/event-stream", ...token };
    this.#log = new CallLog(platform.clock, {
      onCall: (event, direction) => handlers.onCall(event, direction),
      onLost: (call, direction) => handlers.onLost?.(call, direction),
    });
    this.#offNetwork = platform.onNetworkChange((change) => this.#handleNetworkChange(change));
    this.#open();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#offNetwork();
    this.#drop();
    this.#log.close();
  }

  #open(): void {
    if (this.#isClosed) return;
    this.#drop();
    const stream = new AbortController();
    this.#stream = stream;
    void this.#listen(stream);
  }

  #drop(): void {
    const { clock } = this.#platform;
    clock.clear(this.#retry);
    clock.clear(this.#silence);
    this.#retry = null;
    this.#openedAt = null;
    this.#stream.abort();
  }

  async #listen(stream: AbortController): Promise<void> {
    this.#watch(stream);
    try {
      const init: RequestInit = { cache: "no-store", headers: this.#headers, signal: stream.signal };
      const response = await this.#platform.fetch(this.#url, init);
      if (!response.ok) await this.#handleRefusal(stream, response);
      else await this.#read(stream, response);
    } catch (error) {
      this.#lose(stream, toRoundtableError(error, "sdk/socket"));
    }
  }

  async #read(stream: AbortController, response: Response): Promise<void> {
    if (stream.signal.aborted) return;
    this.#openedAt = this.#platform.clock.now();
    this.#log.handleReturn();
    this.#handlers.onListening?.();
    const events = new EventStream((data) => this.#handleData(data));
    const reader = response.body?.getReader();
    for (;;) {
      const piece = await reader?.read();
      if (stream.signal.aborted) return;
      if (piece?.value === undefined || !events.push(piece.value)) break;
      this.#watch(stream);
    }
    this.#lose(stream, new RoundtableError("sdk/socket", "The server ended the stream."));
  }

  #handleData(data: string): void {
    let event: CallEvent;
    try {
      event = JSON.parse(data) as CallEvent;
    } catch {
      // Whatever says so, it is no call.
      return;
    }
    if (this.#isClosed) return;
    this.#log.handleEvent(event, event.call.to === this.#identity ? "incoming" : "outgoing");
  }

  /** What a client did wrong it would do wrong again. */
  async #handleRefusal(stream: AbortController, response: Response): Promise<void> {
    const error = await refusalOf(response);
    if (stream.signal.aborted) return;
    const isLasting = response.status < 500 && response.status !== 408 && response.status !== 429;
    if (!isLasting) {
      this.#lose(stream, error);
      return;
    }
    this.close();
    this.#handlers.onRefused?.(error);
  }

  #watch(stream: AbortController): void {
    const { clock } = this.#platform;
    clock.clear(this.#silence);
    this.#silence = clock.set(
      () => this.#lose(stream, new RoundtableError("sdk/timeout", "The server fell silent.")),
      STREAM_SILENCE_MS,
    );
  }

  #lose(stream: AbortController, error: RoundtableError): void {
    if (stream.signal.aborted) return;
    const { clock } = this.#platform;
    if (this.#openedAt !== null && clock.now() - this.#openedAt >= STEADY_MS) this.#attempt = 0;
    this.#drop();
    this.#attempt += 1;
    const delay = this.#policy.delay(this.#attempt, error.code, clock.random()) ?? 0;
    this.#retry = clock.set(() => this.#open(), Math.max(delay, error.reconnectAfterMs ?? 0));
    this.#handlers.onInterrupted?.(error.code);
  }

  /** With another network, or before somebody's eyes, an attempt is not put off. */
  #handleNetworkChange(change: NetworkChange): void {
    const isWaiting = this.#retry !== null;
    if (change === "online" || change === "changed" || (change === "visible" && isWaiting)) this.#open();
  }
}
