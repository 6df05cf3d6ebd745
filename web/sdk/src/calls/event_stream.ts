// Server-sent events out of the pieces in which they come (HTML standard, §9.2.6), where an `EventSource` would hide why
// it was refused, and cannot bring a token.

/** Longest line that is kept, in characters; a stream with a longer one is broken. */
export const MAX_LINE_CHARS = 64 * 1024;

/** Cuts a stream into the data of its events. */
export class EventStream {
  readonly #onData: (data: string) => void;
  readonly #decoder = new TextDecoder();
  #rest = "";
  #data: string[] = [];

  constructor(onData: (data: string) => void) {
    this.#onData = onData;
  }

  /** Takes the next piece; false if the stream cannot be read. */
  push(piece: Uint8Array): boolean {
    const lines = (this.#rest + this.#decoder.decode(piece, { stream: true })).split(/\r\n|\n/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) this.#handleLine(line);
    return this.#rest.length <= MAX_LINE_CHARS;
  }

  #handleLine(line: string): void {
    if (line === "") {
      if (this.#data.length > 0) this.#onData(this.#data.join("\n"));
      this.#data = [];
      return;
    }
    const found = /^data:? ?(.*)$/.exec(line);
    if (found !== null) this.#data.push(found[1] ?? "");
  }
}
