// A socket made of plain requests (docs/PROTOCOL.md, "Without a WebSocket"), for networks that let no WebSocket through.
import type { Platform, SocketLike } from "../platform.ts";
import { BROKEN, Inbox, parse } from "./inbox.ts";
import { Outbox } from "./outbox.ts";
import { type Reply, Requests } from "./requests.ts";

/** From the first request to its answer. */
export const BEGIN_WITHIN_MS = 7_000;

const CONNECTING = 0;
const OPEN = 1;
const CLOSED = 3;
/** The close code of who leaves. */
const LEAVING = 1000;

/** What an exchange tells besides what sockets tell. */
export interface ExchangeHandlers {
  /** How it hears from now on. */
  onTransport(transport: "sse" | "poll"): void;
  /** Streams do not get through here, but polling does. */
  onStreamsUseless(): void;
}

/** What is said goes by numbered requests; what is heard comes by a stream, or by further requests. */
export class Exchange implements SocketLike {
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  onerror: SocketLike["onerror"] = null;
  readonly #platform: Platform;
  readonly #requests: Requests;
  readonly #handlers: ExchangeHandlers;
  #state = CONNECTING;
  /** The address of the conversation. */
  #url = "";
  #outbox: Outbox | null = null;
  #inbox: Inbox | null = null;
  #offPageEnd: () => void = () => {};

  /** Begins at once. `socketUrl` is the one that a WebSocket would have. */
  constructor(platform: Platform, socketUrl: string, byStream: boolean, handlers: ExchangeHandlers) {
    this.#platform = platform;
    this.#requests = new Requests(platform);
    this.#handlers = handlers;
    void this.#begin(exchangeUrl(socketUrl), byStream);
  }

  get readyState(): number {
    return this.#state;
  }

  send(data: string | ArrayBuffer): void {
    if (typeof data === "string") this.#outbox?.push(data);
  }

  /** Who leaves says what is still to be said; who means to come back is missed by the server after a while. */
  close(code?: number): void {
    if (this.#state === CLOSED) return;
    const last = code === LEAVING ? this.#outbox?.last() : null;
    this.#shut();
    if (last !== null && last !== undefined) {
      this.#platform.fetch(last.url, last.init).catch(() => {});
    }
  }

  async #begin(url: URL, byStream: boolean): Promise<void> {
    const reply = await this.#requests.once(url.href, { method: "POST" }, BEGIN_WITHIN_MS);
    if (this.#state === CLOSED) return;
    const session = reply?.status === 201 ? parse<{ session: string }>(reply.text)?.session : undefined;
    if (session === undefined) {
      this.#refuse(reply);
      return;
    }
    const { origin, pathname } = url;
    this.#url = `${origin}${pathname}/${session}`;
    this.#outbox = new Outbox(this.#requests, this.#url, () => this.#end(BROKEN, ""));
    this.#inbox = new Inbox(this.#platform, this.#requests, this.#url, {
      onMessage: (data) => this.onmessage?.({ data } as MessageEvent),
      onClosed: (code, reason) => this.#end(code, reason),
      onPolling: () => this.#handlers.onTransport("poll"),
      onPolled: () => {
        if (byStream) this.#handlers.onStreamsUseless();
      },
    });
    // A browser closes its sockets with the page, and the server takes that for leaving; of requests it knows nothing.
    this.#offPageEnd = this.#platform.onPageEnd(() => {
      this.#platform.fetch(this.#url, { method: "DELETE", keepalive: true }).catch(() => {});
    });
    this.#state = OPEN;
    this.#handlers.onTransport(byStream ? "sse" : "poll");
    this.onopen?.({} as Event);
    this.#inbox.open(byStream);
  }

  /** Passes the server's own word on, if it was the server's. */
  #refuse(reply: Reply | null): void {
    const problem = parse<{ code?: unknown; detail?: unknown }>(reply?.text ?? "");
    if (typeof problem?.code === "string") {
      const message = String(problem.detail ?? problem.code);
      const data = JSON.stringify({ type: "error", code: problem.code, message, fatal: true });
      this.onmessage?.({ data } as MessageEvent);
    }
    this.#end(BROKEN, "");
  }

  #end(code: number, reason: string): void {
    if (this.#state === CLOSED) return;
    this.#shut();
    this.onclose?.({ code, reason } as CloseEvent);
  }

  #shut(): void {
    this.#state = CLOSED;
    this.#offPageEnd();
    this.#inbox?.close();
    this.#requests.close();
  }
}

/** Where conversations begin: beside the socket. */
function exchangeUrl(socketUrl: string): URL {
  const socket = new URL(socketUrl);
  const url = new URL("signal", socket);
  url.protocol = socket.protocol === "wss:" ? "https:" : "http:";
  url.search = socket.search;
  return url;
}
