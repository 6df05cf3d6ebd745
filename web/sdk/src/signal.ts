// One connection to the server: hello and welcome, offers and answers, pings, and the end with its code.
import { Emitter } from "./emitter.ts";
import { RoundtableError, type RoundtableErrorCode } from "./errors.ts";
import { InOrder, MIN_DEFLATE_CHARS } from "./packing.ts";
import type { Platform, SocketLike, TimerHandle } from "./platform.ts";
import {
  type Call,
  type CallAnswer,
  type ClientMessage,
  type MemberChange,
  type MemberInfo,
  type MemberStats,
  type ModerationAction,
  type ModerationOutcome,
  PROTOCOL_VERSION,
  type PublishRequest,
  type ServerMessage,
} from "./protocol.ts";

/** Between two pings. */
export const PING_INTERVAL_MS = 10_000;
/** A socket on which nothing came for this long is dead. */
export const SILENCE_MS = 25_000;
/** Until the socket is open, and from then to `welcome` or `resumed`. */
export const WELCOME_TIMEOUT_MS = 10_000;
/** From an offer to its answer. */
export const ANSWER_TIMEOUT_MS = 10_000;
/** After the server's last word, its close frame is awaited this long. */
export const FAREWELL_MS = 1_000;
/** Close code of an SDK that means to come back: the server keeps its place. A browser that leaves says 1000 or 1001. */
export const CLOSE_TO_RETURN = 4000;
/** After a change of network, from a ping to any sign of life. */
export const PROBE_TIMEOUT_MS = 4_000;

const OPEN = 1;

/** Close codes with a meaning of their own, from `docs/PROTOCOL.md`, where no message came before. */
const CLOSE_CODES: ReadonlyMap<number, RoundtableErrorCode> = new Map([
  [1001, "server/stopping"],
  [4400, "message/unknown"],
  [4403, "hello/forbidden"],
  [4408, "client/silent"],
  [4409, "client/replaced"],
  [4410, "room/kicked"],
  [4413, "client/slow"],
  [4429, "message/rate"],
  [4500, "server/internal"],
]);

/** The server's answer to an offer. */
export type Answer = Extract<ServerMessage, { type: "answer" }>;

type Hello = Omit<Extract<ClientMessage, { type: "hello" }>, "type" | "version" | "accept">;

interface Pending<Reply> {
  resolve(reply: Reply): void;
  reject(error: RoundtableError): void;
  timer: TimerHandle;
}

interface SignalEvents {
  /** A message that is no answer or pong. `welcome` or `resumed` is the first. */
  message: [ServerMessage];
  /** The socket is gone; nothing follows. */
  closed: [RoundtableError];
}

/** One signalling connection. It never reconnects: a new one is made instead. */
export class Signal extends Emitter<SignalEvents> {
  readonly #platform: Platform;
  readonly #nextId: () => number;
  readonly #openSocket: (url: string) => SocketLike;
  readonly #answers = new Map<number, Pending<Answer>>();
  readonly #stats = new Map<number, Pending<MemberStats>>();
  readonly #moderations = new Map<number, Pending<ModerationOutcome>>();
  readonly #updates = new Map<number, Pending<MemberInfo>>();
  readonly #calls = new Map<number, Pending<Call>>();
  /** Frames that came. */
  readonly #incoming = new InOrder(() =>
    this.#end(new RoundtableError("sdk/socket", "The server sent what cannot be read.")),
  );
  /** Messages to be sent. */
  readonly #outgoing = new InOrder(() => {});
  #socket: SocketLike | null = null;
  #timer: TimerHandle = null;
  #probe: TimerHandle = null;
  #heardAt = 0;
  #welcomed = false;
  /** Whether the server takes compressed frames. */
  #deflates = false;
  #farewell: RoundtableError | null = null;
  #closed = false;

  /**
   * `nextId` gives numbers for offers, chat and pings alike, so that an error's id is never ambiguous. `openSocket` may open
   * something else than a WebSocket.
   */
  constructor(
    platform: Platform,
    nextId: () => number,
    openSocket: (url: string) => SocketLike = (url) => platform.openSocket(url),
  ) {
    super();
    this.#openSocket = openSocket;
    this.#platform = platform;
    this.#nextId = nextId;
  }

  /** Opens the socket and says hello. The outcome comes as `message` (welcome or resumed) or `closed`. */
  open(url: string, hello: Hello): void {
    let socket: SocketLike;
    try {
      socket = this.#openSocket(url);
    } catch (error) {
      queueMicrotask(() => this.#end(new RoundtableError("sdk/socket", String(error))));
      return;
    }
    this.#socket = socket;
    socket.onopen = () => {
      this.#awaitWelcome();
      const accept = this.#platform.compression === undefined ? ["batch"] : ["batch", "deflate"];
      this.send({ type: "hello", version: PROTOCOL_VERSION, ...hello, accept });
    };
    socket.onmessage = (event) => this.#handleFrame(event.data);
    // What came before it may still be on its way through the decompression.
    socket.onclose = (event) => this.#incoming.run(() => this.#end(this.#reasonOf(event)));
    this.#awaitWelcome();
  }

  /** Sends a message; false when the socket is not open. */
  send(message: ClientMessage): boolean {
    const socket = this.#socket;
    if (this.#closed || socket?.readyState !== OPEN) return false;
    const text = JSON.stringify(message);
    const deflate = this.#deflates && text.length >= MIN_DEFLATE_CHARS && this.#platform.compression?.deflate;
    if (deflate) this.#outgoing.runWith(smaller(text, deflate), (frame) => socket.send(frame));
    else this.#outgoing.run(() => socket.send(text));
    return true;
  }

  /** Sends an offer and waits for its answer. */
  offer(sdp: string, tracks: PublishRequest[], fresh = false): Promise<Answer> {
    const id = this.#nextId();
    return new Promise((resolve, reject) => {
      const timer = this.#platform.clock.set(
        () => this.#end(new RoundtableError("sdk/timeout", "The server did not answer an offer.")),
        ANSWER_TIMEOUT_MS,
      );
      this.#answers.set(id, { resolve, reject, timer });
      if (!this.send({ type: "offer", id, sdp, tracks, ...(fresh ? { fresh } : {}) })) {
        this.#settle(id)?.reject(new RoundtableError("sdk/closed", "The connection is closed."));
      }
    });
  }

  /** Asks the server how this member's media does. */
  stats(): Promise<MemberStats> {
    return this.#ask(this.#stats, (id) => ({ type: "getStats", id }));
  }

  /** Moderates. */
  moderate(action: ModerationAction): Promise<ModerationOutcome> {
    return this.#ask(this.#moderations, (id) => ({ type: "moderate", id, action }));
  }

  /** Changes what others see of this member. */
  update(change: MemberChange): Promise<MemberInfo> {
    return this.#ask(this.#updates, (id) => ({ type: "updateMember", id, ...change }));
  }

  /** Calls somebody into the room. */
  call(to: string, timeoutS: number | undefined): Promise<Call> {
    const patience = timeoutS === undefined ? {} : { timeoutS };
    return this.#ask(this.#calls, (id) => ({ type: "call", id, to, ...patience }));
  }

  /** Accepts, declines or cancels a call. */
  answerCall(call: string, answer: CallAnswer): Promise<Call> {
    return this.#ask(this.#calls, (id) => ({ type: "answerCall", id, call, answer }));
  }

  /** Asks for a sign of life at once; without one the socket is given up. For changes of network. */
  probe(): void {
    if (this.#probe !== null || !this.#welcomed || this.#closed) return;
    const asked = this.#platform.clock.now();
    this.send({ type: "ping", nonce: this.#nextId() });
    this.#probe = this.#platform.clock.set(() => {
      this.#probe = null;
      if (this.#heardAt < asked) this.#end(new RoundtableError("sdk/socket", "The connection was lost."));
    }, PROBE_TIMEOUT_MS);
  }

  /** Leaves, or else means to come back over another socket. No `closed` event follows. */
  close(leave: boolean): void {
    if (leave) this.send({ type: "leave" });
    this.#shut(
      new RoundtableError("sdk/closed", "The connection was closed."),
      leave ? 1000 : CLOSE_TO_RETURN,
    );
  }

  #awaitWelcome(): void {
    const { clock } = this.#platform;
    clock.clear(this.#timer);
    this.#timer = clock.set(
      () => this.#end(new RoundtableError("sdk/timeout", "The server did not answer in time.")),
      WELCOME_TIMEOUT_MS,
    );
  }

  #ask<Reply>(waiting: Map<number, Pending<Reply>>, question: (id: number) => ClientMessage): Promise<Reply> {
    const id = this.#nextId();
    return new Promise((resolve, reject) => {
      const timer = this.#platform.clock.set(() => {
        const late = new RoundtableError("sdk/timeout", "The server did not answer in time.");
        settle(waiting, id, this.#platform)?.reject(late);
      }, ANSWER_TIMEOUT_MS);
      waiting.set(id, { resolve, reject, timer });
      if (!this.send(question(id))) {
        const closed = new RoundtableError("sdk/closed", "The connection is closed.");
        settle(waiting, id, this.#platform)?.reject(closed);
      }
    });
  }

  #handleFrame(data: unknown): void {
    const { clock, compression } = this.#platform;
    if (this.#closed) return;
    if (typeof data === "string") {
      this.#heardAt = clock.now();
      this.#incoming.run(() => this.#handleText(data));
    } else if (data instanceof ArrayBuffer && compression !== undefined) {
      this.#heardAt = clock.now();
      this.#incoming.runWith(compression.inflate(data), (text) => this.#handleText(text));
    }
  }

  #handleText(text: string): void {
    let messages: ServerMessage | ServerMessage[];
    try {
      messages = JSON.parse(text) as ServerMessage | ServerMessage[];
    } catch {
      // A server that speaks garbage is not worth a crash; silence will end it.
      return;
    }
    for (const message of Array.isArray(messages) ? messages : [messages]) {
      if (!this.#closed) this.#handleMessage(message);
    }
  }

  #handleMessage(message: ServerMessage): void {
    switch (message.type) {
      case "pong":
        return;
      case "welcome":
      case "resumed":
        this.#welcomed = true;
        this.#deflates = message.accepted?.includes("deflate") === true;
        this.#schedulePing();
        break;
      case "waiting":
        // People let people in: that takes as long as it takes.
        this.#schedulePing();
        break;
      case "answer":
        this.#settle(message.id)?.resolve(message);
        return;
      case "stats":
        settle(this.#stats, message.id, this.#platform)?.resolve(message.stats);
        return;
      case "moderated":
        settle(this.#moderations, message.id, this.#platform)?.resolve(message.outcome);
        return;
      case "called":
        settle(this.#calls, message.id, this.#platform)?.resolve(message.call);
        return;
      case "updated":
        // Its room is to know before whoever asked goes on.
        if (message.id !== undefined)
          settle(this.#updates, message.id, this.#platform)?.resolve(message.member);
        break;
      case "goodbye":
        this.#handleFarewell(
          new RoundtableError(message.code ?? this.#farewell?.code ?? "sdk/closed", message.message, {
            ...(message.reconnectAfterMs === undefined ? {} : { reconnectAfterMs: message.reconnectAfterMs }),
          }),
        );
        break;
      case "error": {
        const error = new RoundtableError(message.code, message.message);
        if (message.fatal) this.#handleFarewell(error);
        // A name could be mended over the same socket; we begin anew with another.
        else if (!this.#welcomed) this.#end(error);
        const { id } = message;
        const pending = id === undefined ? undefined : this.#settleAny(id);
        pending?.reject(error);
        if (pending !== undefined && !message.fatal) return;
        break;
      }
    }
    this.emit("message", message);
  }

  #handleFarewell(error: RoundtableError): void {
    const { clock } = this.#platform;
    this.#farewell = error;
    clock.clear(this.#timer);
    this.#timer = clock.set(() => this.#end(this.#farewell ?? error), FAREWELL_MS);
  }

  #schedulePing(): void {
    const { clock } = this.#platform;
    clock.clear(this.#timer);
    this.#timer = clock.set(() => {
      if (clock.now() - this.#heardAt >= SILENCE_MS) {
        this.#end(new RoundtableError("sdk/socket", "The server fell silent."));
        return;
      }
      this.send({ type: "ping", nonce: this.#nextId() });
      this.#schedulePing();
    }, PING_INTERVAL_MS);
  }

  #settle(id: number): Pending<Answer> | undefined {
    return settle(this.#answers, id, this.#platform);
  }

  #settleAny(id: number): { reject(error: RoundtableError): void } | undefined {
    for (const map of this.#waiting()) {
      const pending = settle(map, id, this.#platform);
      if (pending !== undefined) return pending;
    }
    return undefined;
  }

  /** All questions that wait for an answer. */
  #waiting(): Map<number, Pending<unknown>>[] {
    const waiting = [this.#answers, this.#stats, this.#moderations, this.#updates, this.#calls];
    return waiting as Map<number, Pending<unknown>>[];
  }

  #reasonOf(event: CloseEvent): RoundtableError {
    if (this.#farewell !== null) return this.#farewell;
    const code = CLOSE_CODES.get(event.code) ?? "sdk/socket";
    return new RoundtableError(code, event.reason || "The connection to the server was lost.");
  }

  #end(error: RoundtableError): void {
    if (this.#closed) return;
    this.#shut(error, CLOSE_TO_RETURN);
    this.emit("closed", error);
  }

  #shut(error: RoundtableError, code: number): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#platform.clock.clear(this.#timer);
    this.#platform.clock.clear(this.#probe);
    const open = this.#waiting().flatMap((map) => [...map.keys()]);
    for (const id of open) this.#settleAny(id)?.reject(error);
    const socket = this.#socket;
    if (socket !== null) {
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
      // What was said before may still be on its way through the compression.
      this.#outgoing.run(() => socket.close(code));
    }
  }
}

/** What to send of a text: the compressed frame, unless that gains nothing or fails. */
async function smaller(
  text: string,
  deflate: (text: string) => Promise<ArrayBuffer>,
): Promise<string | ArrayBuffer> {
  try {
    const packed = await deflate(text);
    return packed.byteLength < text.length ? packed : text;
  } catch {
    return text;
  }
}

/** Takes a question out of those that wait for an answer. */
function settle<Reply>(
  waiting: Map<number, Pending<Reply>>,
  id: number,
  { clock }: Platform,
): Pending<Reply> | undefined {
  const pending = waiting.get(id);
  if (pending === undefined) return undefined;
  waiting.delete(id);
  clock.clear(pending.timer);
  return pending;
}
