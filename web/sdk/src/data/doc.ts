// A document that members write together: its updates go through the server, which numbers and keeps them. What they are is
// the document's affair: with Yjs `apply: (u) => Y.applyUpdate(doc, u)`, `snapshot: () => Y.encodeStateAsUpdate(doc)`, and
// `doc.on("update", (u, origin) => origin !== provider && provider.push(u))`.
import type { RoundtableErrorCode } from "../errors.ts";
import type { ServerMessage } from "../protocol.ts";
import { fromBase64, toBase64 } from "./frame.ts";
import type { DataHub, DataMessage } from "./hub.ts";

/** A document that any order of updates, also repeated, brings to the same state. */
export interface SharedDoc {
  apply(update: Uint8Array): void;
  snapshot(): Uint8Array;
}

/** After so many updates since the last snapshot another one is put. */
export const SNAPSHOT_EVERY = 200;
const AGAIN_MS = 1_000;
const REFUSED_FOR_NOW: readonly RoundtableErrorCode[] = ["data/rate", "data/doc-full"];

/** Ties a document to the room; everybody who ties one of the same name has the same. */
export class DocProvider {
  readonly #hub: DataHub;
  readonly #doc: SharedDoc;
  readonly #name: string;
  readonly #onError: (code: RoundtableErrorCode) => void;
  /** Own updates without a number yet, by the number they were sent with; `unsure` if they may be lost. */
  readonly #pending = new Map<number, { update: Uint8Array; isSent: boolean; unsure: boolean }>();
  /** What came before something that is missing. */
  readonly #ahead = new Map<number, DataMessage>();
  readonly #off: (() => void)[];
  /** All updates up to this one are applied. */
  #last = 0;
  #kept = 0;
  #question: number | null = null;

  constructor(
    hub: DataHub,
    name: string,
    doc: SharedDoc,
    onError: (code: RoundtableErrorCode) => void = () => {},
  ) {
    [this.#hub, this.#name, this.#doc, this.#onError] = [hub, name, doc, onError];
    this.#off = [
      hub.subscribe(`doc/${name}`, (message) => this.#handle(message)),
      hub.on("doc", (message) => this.#handleDoc(message)),
      hub.on("ready", () => this.#handleReady()),
      hub.on("refused", (id, code) => this.#handleRefused(id, code)),
    ];
    this.#ask();
  }

  /** The number of the last update that is applied. */
  get last(): number {
    return this.#last;
  }

  /** Publishes a change that was made here. */
  push(update: Uint8Array): void {
    const id = this.#hub.nextId();
    const pending = { update, isSent: false, unsure: false };
    this.#pending.set(id, pending);
    this.#hub.publish(`doc/${this.#name}`, update, {}, id).then(
      () => {
        pending.isSent = true;
      },
      (error) => this.#handleRefused(id, error.code),
    );
  }

  destroy(): void {
    for (const off of this.#off) off();
  }

  #handleReady(): void {
    for (const pending of this.#pending.values()) pending.unsure = pending.isSent;
    this.#ask();
  }

  #ask(): void {
    const id = this.#hub.nextId();
    if (this.#hub.say({ type: "getDoc", id, doc: this.#name, after: this.#last })) this.#question = id;
  }

  #handle(message: DataMessage): void {
    const { n } = message;
    if (n === undefined || n <= this.#last) return;
    this.#ahead.set(n, message);
    this.#catchUp();
    if (this.#ahead.size > 0 && this.#question === null) this.#ask();
  }

  #catchUp(): void {
    for (let next = this.#ahead.get(this.#last + 1); next; next = this.#ahead.get(this.#last + 1)) {
      this.#ahead.delete(this.#last + 1);
      this.#last += 1;
      const isOwn = next.from === this.#hub.own && next.id !== undefined && this.#pending.delete(next.id);
      if (!isOwn) this.#doc.apply(next.payload);
      else if (this.#last - this.#kept >= SNAPSHOT_EVERY) this.#keep();
    }
    for (const n of [...this.#ahead.keys()]) if (n <= this.#last) this.#ahead.delete(n);
  }

  #handleDoc({ id, doc, snapshot, updates, complete }: Extract<ServerMessage, { type: "doc" }>): void {
    if (doc !== this.#name || id !== this.#question) return;
    if (snapshot !== undefined && snapshot.upTo > this.#last) {
      this.#doc.apply(fromBase64(snapshot.payload));
      this.#last = this.#kept = snapshot.upTo;
    }
    for (const { n, from, payload } of updates) {
      if (n !== this.#last + 1) continue;
      this.#doc.apply(fromBase64(payload));
      this.#last = n;
      // One that was taken, but whose number was lost on the way.
      const sent = [...this.#pending].find(
        ([, { update }]) => from === this.#hub.own && toBase64(update) === payload,
      );
      if (sent !== undefined) this.#pending.delete(sent[0]);
    }
    if (!complete) return;
    this.#question = null;
    this.#catchUp();
    for (const [lost, { update, unsure }] of [...this.#pending]) {
      if (unsure && this.#pending.delete(lost)) this.push(update);
    }
  }

  #keep(): void {
    this.#kept = this.#last;
    const snapshot = toBase64(this.#doc.snapshot());
    this.#hub.say({ type: "putDoc", id: this.#hub.nextId(), doc: this.#name, upTo: this.#last, snapshot });
  }

  #handleRefused(id: number, code: RoundtableErrorCode): void {
    if (id === this.#question) this.#question = null;
    else if (!this.#pending.has(id)) return;
    if (code === "data/doc-full") this.#keep();
    const refused = this.#pending.get(id);
    if (refused !== undefined) refused.unsure = true;
    if (REFUSED_FOR_NOW.includes(code)) this.#hub.clock.set(() => this.#ask(), AGAIN_MS);
    else if (this.#pending.delete(id)) this.#onError(code);
  }
}
