// By which way the signalling goes: a WebSocket if one gets through, else plain requests.
import type { Platform, SocketLike, TimerHandle } from "../platform.ts";
import { Exchange } from "./exchange.ts";

/** What carries the signalling: a WebSocket, requests and a stream of events, or requests alone. */
export type Transport = "websocket" | "sse" | "poll";

/** A WebSocket that is not open by then gets a rival made of requests: the first that opens is taken. */
export const SOCKET_WITHIN_MS = 4_000;
/** The same where no WebSocket got through before. */
export const SOCKET_AGAIN_WITHIN_MS = 1_500;

const CONNECTING = 0;
const CLOSED = 3;

/** What is known of the network in which a room lives. A WebSocket is tried each time, for networks change. */
export class Transports {
  readonly #platform: Platform;
  #current: Transport | null = null;
  #doStreamsFlow = true;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** What carries the signalling, or did last; null before anything did. */
  get current(): Transport | null {
    return this.#current;
  }

  /** Opens a socket by whichever way. */
  open(url: string): SocketLike {
    const isUsual = this.#current === null || this.#current === "websocket";
    return new FirstOpen(this.#platform, isUsual ? SOCKET_WITHIN_MS : SOCKET_AGAIN_WITHIN_MS, {
      openSocket: () => this.#platform.openSocket(url),
      openExchange: () => this.#openExchange(url),
      onSocket: () => {
        this.#current = "websocket";
      },
    });
  }

  #openExchange(url: string): Exchange {
    return new Exchange(this.#platform, url, this.#doStreamsFlow, {
      onTransport: (transport) => {
        this.#current = transport;
      },
      onStreamsUseless: () => {
        this.#doStreamsFlow = false;
      },
    });
  }
}

interface Ways {
  openSocket(): SocketLike;
  openExchange(): SocketLike;
  /** The WebSocket was it. */
  onSocket(): void;
}

/** A WebSocket, and an exchange in its place if it is refused or slow. */
class FirstOpen implements SocketLike {
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  onerror: SocketLike["onerror"] = null;
  readonly #platform: Platform;
  readonly #ways: Ways;
  readonly #rivals = new Set<SocketLike>();
  #chosen: SocketLike | null = null;
  #hasExchange = false;
  #isClosed = false;
  #timer: TimerHandle = null;

  constructor(platform: Platform, withinMs: number, ways: Ways) {
    this.#platform = platform;
    this.#ways = ways;
    let socket: SocketLike;
    try {
      socket = ways.openSocket();
    } catch {
      this.#addExchange();
      return;
    }
    this.#timer = platform.clock.set(() => this.#addExchange(), withinMs);
    this.#add(socket, () => ways.onSocket());
  }

  get readyState(): number {
    if (this.#isClosed) return CLOSED;
    return this.#chosen?.readyState ?? CONNECTING;
  }

  send(data: string | ArrayBuffer): void {
    this.#chosen?.send(data);
  }

  close(code?: number): void {
    this.#isClosed = true;
    this.#platform.clock.clear(this.#timer);
    for (const rival of this.#rivals) drop(rival, code);
    this.#rivals.clear();
  }

  #addExchange(): void {
    if (this.#hasExchange) return;
    this.#hasExchange = true;
    this.#platform.clock.clear(this.#timer);
    this.#add(this.#ways.openExchange(), () => {});
  }

  #add(socket: SocketLike, onChosen: () => void): void {
    this.#rivals.add(socket);
    socket.onopen = (event) => {
      this.#choose(socket);
      onChosen();
      this.onopen?.(event);
    };
    socket.onmessage = (event) => this.onmessage?.(event);
    socket.onclose = (event) => this.#handleClose(socket, event);
  }

  #choose(socket: SocketLike): void {
    this.#platform.clock.clear(this.#timer);
    this.#chosen = socket;
    for (const rival of this.#rivals) if (rival !== socket) drop(rival);
    this.#rivals.clear();
    this.#rivals.add(socket);
  }

  #handleClose(socket: SocketLike, event: CloseEvent): void {
    this.#rivals.delete(socket);
    if (this.#chosen === null) this.#addExchange();
    if (this.#rivals.size > 0) return;
    this.#isClosed = true;
    this.#platform.clock.clear(this.#timer);
    this.onclose?.(event);
  }
}

function drop(socket: SocketLike, code?: number): void {
  socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
  socket.close(code);
}
