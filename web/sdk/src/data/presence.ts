// What members show of themselves at this moment, such as where their cursor is: the last value of each counts.
import { Emitter } from "../emitter.ts";
import type { TimerHandle } from "../platform.ts";
import type { MemberId } from "../protocol.ts";
import type { DataHub, DataMessage } from "./hub.ts";

const TOPIC = "rt/presence";
/** Not more often than this is a value sent. */
export const PRESENCE_INTERVAL_MS = 100;
/** A value may be lost, so the last one is said again so long after it was set. */
export const PRESENCE_REPEAT_MS = [500, 2_000] as const;
/** Longest value, as JSON in UTF-8. */
export const MAX_PRESENCE_BYTES = 4_000;
/** Members whose values are kept; of further ones they are not. */
export const MAX_PRESENCES = 10_000;

interface PresenceEvents {
  /** A member's value changed, or is gone (`undefined`). */
  changed: [MemberId, unknown];
}

/** Values of members. They are not kept by the server, and end when their member leaves. */
export class Presence extends Emitter<PresenceEvents> {
  readonly #hub: DataHub;
  readonly #values = new Map<MemberId, { readonly s: number; readonly value: unknown }>();
  #own: { value: unknown } | null = null;
  #serial = 0;
  #sentAt = Number.NEGATIVE_INFINITY;
  #timer: TimerHandle = null;
  #repeats: number[] = [];

  constructor(hub: DataHub) {
    super();
    this.#hub = hub;
    hub.subscribe(TOPIC, (message) => this.#handle(message));
    hub.on("left", (member) => {
      if (this.#values.delete(member)) this.emit("changed", member, undefined);
    });
    hub.on("ready", () => this.announce());
  }

  /** What others show, by member. */
  get values(): ReadonlyMap<MemberId, unknown> {
    return new Map([...this.#values].map(([member, { value }]) => [member, value]));
  }

  /** Shows a value, anything that JSON can carry; of several within a tenth of a second the last. */
  set(value: unknown): void {
    if (encode(0, value).length > MAX_PRESENCE_BYTES) throw new RangeError("The value is too large.");
    this.#own = { value };
    this.#serial += 1;
    this.announce();
  }

  /** Somebody is there who does not know the own value yet. */
  announce(): void {
    if (this.#own === null) return;
    this.#repeats = [...PRESENCE_REPEAT_MS];
    this.#schedule(PRESENCE_INTERVAL_MS);
  }

  #schedule(afterMs: number): void {
    const { clock } = this.#hub;
    clock.clear(this.#timer);
    const wait = this.#sentAt + afterMs - clock.now();
    if (wait <= 0) this.#send();
    else this.#timer = clock.set(() => this.#send(), wait);
  }

  #send(): void {
    if (this.#own === null) return;
    this.#sentAt = this.#hub.clock.now();
    void this.#hub.publish(TOPIC, encode(this.#serial, this.#own.value), { reliable: false });
    const next = this.#repeats.shift();
    if (next !== undefined) this.#schedule(next);
  }

  #handle({ from, payload }: DataMessage): void {
    let said: { s?: unknown; v?: unknown };
    try {
      said = JSON.parse(new TextDecoder().decode(payload)) as { s?: unknown; v?: unknown };
    } catch {
      return;
    }
    const known = this.#values.get(from);
    // Messages may overtake each other.
    if (typeof said.s !== "number" || (known !== undefined && said.s <= known.s)) return;
    if (known === undefined && this.#values.size >= MAX_PRESENCES) return;
    this.#values.set(from, { s: said.s, value: said.v });
    this.emit("changed", from, said.v);
  }
}

function encode(s: number, v: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ s, v }));
}
