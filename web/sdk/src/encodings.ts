// Sends only the encodings that somebody wants: what the server says of them, told to a sender.
import type { EncodingWish } from "./protocol.ts";

/** Turns encodings of one sender on and off, one change after the other; nothing else of its parameters is touched. */
export class EncodingSwitch {
  readonly #sender: RTCRtpSender;
  #wishes: readonly EncodingWish[] = [];
  #running: Promise<void> | null = null;
  #changed = false;

  constructor(sender: RTCRtpSender) {
    this.#sender = sender;
  }

  /** What is wanted from now on. What is not named is sent. Resolves when the last wish so far is in force. */
  handleWishes(wishes: readonly EncodingWish[]): Promise<void> {
    this.#wishes = wishes;
    this.#changed = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #run(): Promise<void> {
    while (this.#changed) {
      this.#changed = false;
      await this.#apply();
    }
  }

  async #apply(): Promise<void> {
    const parameters = this.#sender.getParameters();
    const isWanted = (rid: string) => this.#wishes.find((wish) => wish.rid === rid)?.active ?? true;
    let differs = false;
    for (const encoding of parameters.encodings ?? []) {
      const active = isWanted(encoding.rid ?? "");
      differs ||= encoding.active !== active;
      encoding.active = active;
    }
    if (!differs) return;
    try {
      await this.#sender.setParameters(parameters);
    } catch {
      // The browser sends what it sent before: more than is needed, and nobody misses anything.
    }
  }
}
