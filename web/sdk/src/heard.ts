// Which events of the room one has, so that one can say up to where one has all of them.

/** Numbers remembered beyond a gap, as many as the server keeps events; the oldest gives way. */
export const MAX_BEYOND = 2048;

/** Events come by two ways, and either may overtake the other: what counts is the last one before the first gap. */
export class Heard {
  #allTo: number;
  readonly #beyond = new Set<number>();

  /** Everything up to `seq` is known. */
  constructor(seq: number) {
    this.#allTo = seq;
  }

  /** The last event up to which none is missing. */
  get allTo(): number {
    return this.#allTo;
  }

  /** Notes an event; says whether it is news. */
  note(seq: number): boolean {
    if (seq <= this.#allTo || this.#beyond.has(seq)) return false;
    this.#beyond.add(seq);
    while (this.#beyond.delete(this.#allTo + 1)) this.#allTo += 1;
    // Whoever is so far behind is given the whole state when it comes back.
    for (const oldest of this.#beyond) {
      if (this.#beyond.size <= MAX_BEYOND) break;
      this.#beyond.delete(oldest);
    }
    return true;
  }
}
