// Questions to one member, and its answers.
import { RoundtableError, type RoundtableErrorCode } from "../errors.ts";
import type { TimerHandle } from "../platform.ts";
import type { MemberId } from "../protocol.ts";
import type { DataHub, DataMessage } from "./hub.ts";

const TOPIC = "rt/rpc";
/** How long an answer may take unless told otherwise. */
export const RPC_TIMEOUT_MS = 10_000;
/** Longest question and longest answer, in UTF-8 bytes. */
export const MAX_RPC_BYTES = 15_000;
/** Questions that may be open at once, in each direction. */
export const MAX_OPEN_RPCS = 256;

/** A question that came. */
export interface RpcInvocation {
  readonly from: MemberId;
  readonly payload: string;
}

/** Answers questions. What it throws reaches the other side as `rpc/failed` with its message. */
export type RpcHandler = (invocation: RpcInvocation) => string | Promise<string>;

/** A question to be asked. */
export interface RpcRequest {
  readonly to: MemberId;
  readonly method: string;
  readonly payload?: string;
  readonly timeoutMs?: number;
}

type Wire =
  | { readonly k: "ask"; readonly id: number; readonly m: string; readonly p: string }
  | { readonly k: "answer"; readonly id: number; readonly p: string }
  | { readonly k: "error"; readonly id: number; readonly c: RpcErrorCode; readonly t: string };

type RpcErrorCode = Extract<RoundtableErrorCode, `rpc/${string}`>;

interface Open {
  readonly to: MemberId;
  readonly resolve: (payload: string) => void;
  readonly reject: (error: RoundtableError) => void;
  readonly timer: TimerHandle;
}

/** Asks and answers. */
export class Rpc {
  readonly #hub: DataHub;
  readonly #methods = new Map<string, RpcHandler>();
  readonly #open = new Map<number, Open>();
  #answering = 0;

  constructor(hub: DataHub) {
    this.#hub = hub;
    hub.subscribe(TOPIC, (message) => this.#handle(message));
    hub.on("left", (member) => this.#handleLeft(member));
    hub.on("refused", (id, code, message) => {
      this.#settle(id, new RoundtableError(code === "member/unknown" ? "rpc/gone" : code, message));
    });
  }

  /** Answers questions for a method from now on; returns the function that ends it. */
  register(method: string, handler: RpcHandler): () => void {
    this.#methods.set(method, handler);
    return () => {
      if (this.#methods.get(method) === handler) this.#methods.delete(method);
    };
  }

  /**
   * Asks a member. Rejects with `rpc/unknown-method`, `rpc/failed`, `rpc/timeout`, `rpc/gone`, `rpc/too-large`,
   * `rpc/busy`, or what the server refused it with.
   */
  perform({ to, method, payload = "", timeoutMs = RPC_TIMEOUT_MS }: RpcRequest): Promise<string> {
    if (isTooLarge(payload) || method.length > 128) return Promise.reject(tooLarge());
    if (this.#open.size >= MAX_OPEN_RPCS) {
      return Promise.reject(new RoundtableError("rpc/busy", "Too many questions are open."));
    }
    const id = this.#hub.nextId();
    return new Promise((resolve, reject) => {
      const late = new RoundtableError("rpc/timeout", `No answer came within ${timeoutMs} ms.`);
      const timer = this.#hub.clock.set(() => this.#settle(id, late), timeoutMs);
      this.#open.set(id, { to, resolve, reject, timer });
      this.#say(to, { k: "ask", id, m: method, p: payload }, id).catch((error) => this.#settle(id, error));
    });
  }

  #say(to: MemberId, wire: Wire, id?: number): Promise<void> {
    return this.#hub.publish(TOPIC, new TextEncoder().encode(JSON.stringify(wire)), { to: [to] }, id);
  }

  #handle({ from, payload }: DataMessage): void {
    const wire = read(payload);
    if (wire === null) return;
    if (wire.k === "ask") {
      void this.#answer(from, wire.id, wire.m, wire.p);
    } else if (this.#open.get(wire.id)?.to === from) {
      this.#settle(wire.id, wire.k === "answer" ? wire.p : new RoundtableError(wire.c, wire.t));
    }
  }

  async #answer(from: MemberId, id: number, method: string, payload: string): Promise<void> {
    const handler = this.#methods.get(method);
    const fail = (c: RpcErrorCode, t: string) => this.#say(from, { k: "error", id, c, t }).catch(() => {});
    if (handler === undefined) return fail("rpc/unknown-method", `There is no method ${method}.`);
    if (this.#answering >= MAX_OPEN_RPCS) return fail("rpc/busy", "Too many questions are open.");
    this.#answering += 1;
    try {
      const answer = await handler({ from, payload });
      if (isTooLarge(answer)) await fail("rpc/too-large", tooLarge().message);
      else await this.#say(from, { k: "answer", id, p: answer });
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      await fail("rpc/failed", text.slice(0, 500));
    } finally {
      this.#answering -= 1;
    }
  }

  #handleLeft(member: MemberId): void {
    for (const [id, { to }] of [...this.#open]) {
      if (to === member) this.#settle(id, new RoundtableError("rpc/gone", "The other one has left."));
    }
  }

  #settle(id: number, outcome: string | RoundtableError): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    this.#open.delete(id);
    this.#hub.clock.clear(open.timer);
    if (typeof outcome === "string") open.resolve(outcome);
    else open.reject(outcome);
  }
}

/** As JSON it is longer: quotes and control characters are written as several. */
function isTooLarge(payload: string): boolean {
  return new TextEncoder().encode(JSON.stringify(payload)).length > MAX_RPC_BYTES;
}

function tooLarge(): RoundtableError {
  return new RoundtableError("rpc/too-large", `A question or an answer has at most ${MAX_RPC_BYTES} bytes.`);
}

function read(payload: Uint8Array): Wire | null {
  try {
    const wire = JSON.parse(new TextDecoder().decode(payload)) as Wire;
    return typeof wire.id === "number" ? wire : null;
  } catch {
    return null;
  }
}
