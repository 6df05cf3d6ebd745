// What is heard by requests: as a stream of events, or by one request after the other where no stream gets through.
import type { Platform, StreamLike, TimerHandle } from "../platform.ts";
import { RETRY_MS, type Requests } from "./requests.ts";

/** A stream on which nothing came by then is kept back by something on the way. */
export const STREAM_FIRST_MS = 4_000;
/** The same of one that brought something before: each ping is answered, so that something comes every ten seconds. */
export const STREAM_SILENCE_MS = 14_000;
/** How long the server waits for something to say, in seconds. */
const POLL_WAIT_S = 20;
/** From such a request to its answer. */
const POLL_WITHIN_MS = 25_000;
/** After an answer with nothing in it, so that nothing spins. */
const POLL_PAUSE_MS = 200;
/** The close code of connections that broke. */
export const BROKEN = 1006;

/** What an inbox tells. */
export interface InboxHandlers {
  onMessage(text: string): void;
  /** The conversation is over; nothing follows. */
  onClosed(code: number, reason: string): void;
  /** Streams do not get through: it is polled from now on. */
  onPolling(): void;
  /** Polling brought what a stream did not. */
  onPolled(): void;
}

interface Polled {
  messages: { number: number; message: unknown }[];
  closed?: { code: number; reason: string };
}

/** What one conversation hears. Whatever way it comes, it comes once and in order. */
export class Inbox {
  readonly #platform: Platform;
  readonly #requests: Requests;
  readonly #url: string;
  readonly #handlers: InboxHandlers;
  /** The number of the last message. */
  #heard = 0;
  #stream: StreamLike | null = null;
  /** Whether the present stream has brought something. */
  #isFlowing = false;
  #timer: TimerHandle = null;
  #isClosed = false;

  constructor(platform: Platform, requests: Requests, url: string, handlers: InboxHandlers) {
    this.#platform = platform;
    this.#requests = requests;
    this.#url = url;
    this.#handlers = handlers;
  }

  /** Begins to listen. */
  open(byStream: boolean): void {
    if (byStream) this.#openStream();
    else void this.#poll();
  }

  close(): void {
    this.#isClosed = true;
    this.#dropStream();
  }

  #openStream(): void {
    if (this.#isClosed) return;
    this.#isFlowing = false;
    const stream = this.#platform.openStream(`${this.#url}/events?after=${this.#heard}`);
    this.#stream = stream;
    stream.onmessage = ({ data, lastEventId }) => {
      this.#isFlowing = true;
      this.#watch(STREAM_SILENCE_MS);
      this.#handle(Number(lastEventId), String(data));
    };
    stream.onerror = () => this.#handleBreak();
    stream.addEventListener("closed", ({ data }) => {
      const end = parse<{ code: number; reason: string }>(String(data));
      this.#end(end?.code ?? BROKEN, end?.reason ?? "");
    });
    this.#watch(STREAM_FIRST_MS);
  }

  /** A stream that flowed is opened again behind what came; one that never did is not. */
  #handleBreak(): void {
    const didFlow = this.#isFlowing;
    this.#dropStream();
    if (!didFlow) this.#giveUpStreams();
    else this.#timer = this.#platform.clock.set(() => this.#openStream(), RETRY_MS);
  }

  #watch(withinMs: number): void {
    const { clock } = this.#platform;
    clock.clear(this.#timer);
    if (this.#isClosed) return;
    this.#timer = clock.set(() => {
      this.#dropStream();
      this.#giveUpStreams();
    }, withinMs);
  }

  #giveUpStreams(): void {
    this.#handlers.onPolling();
    void this.#poll();
  }

  async #poll(): Promise<void> {
    while (!this.#isClosed) {
      const url = `${this.#url}/messages?after=${this.#heard}&wait=${POLL_WAIT_S}`;
      const reply = await this.#requests.repeat(url, {}, POLL_WITHIN_MS);
      if (this.#isClosed) return;
      const polled = reply?.status === 200 ? parse<Polled>(reply.text) : undefined;
      if (!Array.isArray(polled?.messages)) {
        this.#end(BROKEN, "");
        return;
      }
      const { messages, closed } = polled;
      if (messages.length > 0) this.#handlers.onPolled();
      for (const { number, message } of messages) this.#handle(number, JSON.stringify(message));
      if (closed !== undefined) this.#end(closed.code, closed.reason);
      else if (messages.length === 0) await this.#requests.pause(POLL_PAUSE_MS);
    }
  }

  #handle(number: number, text: string): void {
    if (this.#isClosed || number <= this.#heard) return;
    this.#heard = number;
    this.#handlers.onMessage(text);
  }

  #dropStream(): void {
    this.#platform.clock.clear(this.#timer);
    this.#stream?.close();
    this.#stream = null;
  }

  #end(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.close();
    this.#handlers.onClosed(code, reason);
  }
}

/** Reads JSON; undefined when it is none, as from a proxy with words of its own. */
export function parse<Shape>(text: string): Shape | undefined {
  try {
    return (JSON.parse(text) as Shape | null) ?? undefined;
  } catch {
    return undefined;
  }
}
