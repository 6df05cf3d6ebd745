// Compressed frames, and the order of frames, which outlasts that compression takes its time.

/** Shorter messages are sent as they are: they would still take a packet each. */
export const MIN_DEFLATE_CHARS = 1024;

/** Raw DEFLATE (RFC 1951), as browsers have it. */
export interface Compression {
  /** Reads a compressed text. */
  inflate(packed: ArrayBuffer): Promise<string>;
  /** Compresses a text; absent where a browser can only read. */
  readonly deflate: ((text: string) => Promise<ArrayBuffer>) | undefined;
}

/** That of this browser; absent where it has none. */
export function browserCompression(): Compression | undefined {
  if (!knows(() => new DecompressionStream("deflate-raw"))) return undefined;
  const through = (data: BlobPart, stream: CompressionStream | DecompressionStream) =>
    new Response(new Blob([data]).stream().pipeThrough(stream));
  return {
    inflate: (packed) => through(packed, new DecompressionStream("deflate-raw")).text(),
    deflate: knows(() => new CompressionStream("deflate-raw"))
      ? (text) => through(text, new CompressionStream("deflate-raw")).arrayBuffer()
      : undefined,
  };
}

function knows(make: () => unknown): boolean {
  try {
    make();
    return true;
  } catch {
    return false;
  }
}

/** Takes steps in the order in which they are brought: at once, unless one before has to wait for something. */
export class InOrder {
  readonly #onBroken: (error: unknown) => void;
  /** Ends with the last of the steps that wait. */
  #last: Promise<void> | null = null;

  /** `onBroken` is told, in its turn, of a step whose value did not come. */
  constructor(onBroken: (error: unknown) => void) {
    this.#onBroken = onBroken;
  }

  /** Takes a step. */
  run(step: () => void): void {
    if (this.#last === null) step();
    else this.#add(this.#last.then(step));
  }

  /** Takes a step with a value that is still to come. */
  runWith<Value>(coming: Promise<Value>, step: (value: Value) => void): void {
    const came = coming.then(
      (value) => () => step(value),
      (error: unknown) => () => this.#onBroken(error),
    );
    this.#add((this.#last ?? Promise.resolve()).then(async () => (await came)()));
  }

  #add(step: Promise<void>): void {
    // A step that throws is the fault of whoever brought it, and no reason to leave out those behind it.
    const done: Promise<void> = step
      .catch((error: unknown) => queueMicrotask(() => throwAgain(error)))
      .then(() => {
        if (this.#last === done) this.#last = null;
      });
    this.#last = done;
  }
}

function throwAgain(error: unknown): never {
  throw error;
}
