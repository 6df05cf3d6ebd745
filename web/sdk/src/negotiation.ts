// Offers, one at a time: one in flight, at most one waiting, however often it is asked for.
import { RoundtableError, toRoundtableError } from "./errors.ts";
import { MAX_SDP_BYTES } from "./limits.ts";
import type { PublishedTrack, PublishRequest } from "./protocol.ts";
import { compactOffer } from "./sdp.ts";

/** What a negotiation needs of its surroundings. */
export interface NegotiationHost {
  /** Adds what is missing to the connection, before an offer is made. */
  prepare(): void;
  /** What the sending m-lines carry, once they have their mids. */
  describe(): PublishRequest[];
  /** Sends an offer, gives its answer. Fails when the way to the server is lost; see {@link Negotiation.hold}. */
  exchange(sdp: string, tracks: PublishRequest[]): Promise<{ sdp: string; tracks: PublishedTrack[] }>;
  /** An answer is in force. `offer` is the text that was sent. */
  answered(tracks: PublishedTrack[], offer: string): void;
}

interface Round {
  iceRestart: boolean;
  readonly done: Promise<void>;
  resolve(): void;
  reject(error: RoundtableError): void;
}

function newRound(): Round {
  let resolve: () => void = () => {};
  let reject: (error: RoundtableError) => void = () => {};
  const done = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  // Whoever asked hears of it; nobody else has to.
  done.catch(() => {});
  return { iceRestart: false, done, resolve, reject };
}

/** The client always offers, so there is no glare: the server only answers. */
export class Negotiation {
  readonly #connection: RTCPeerConnection;
  readonly #host: NegotiationHost;
  #waiting: Round | null = null;
  /** Resolves when offers can be sent again; null while they can. */
  #held: Round | null = null;
  #losses = 0;
  #running = false;
  #closed = false;

  constructor(connection: RTCPeerConnection, host: NegotiationHost) {
    this.#connection = connection;
    this.#host = host;
  }

  /** Offers what the connection should be now. Resolves when an answer that includes it is in force. */
  negotiate(options: { iceRestart?: boolean } = {}): Promise<void> {
    if (this.#closed) return Promise.reject(new RoundtableError("sdk/closed", "The connection is closed."));
    this.#waiting ??= newRound();
    this.#waiting.iceRestart ||= options.iceRestart ?? false;
    const { done } = this.#waiting;
    if (!this.#running) void this.#run();
    return done;
  }

  /** The way to the server is lost. An offer under way is kept: whether the server got it is not known. */
  hold(): void {
    this.#losses += 1;
    this.#held ??= newRound();
  }

  /** There is a way again: an offer that was not answered is sent once more, the same to the letter. */
  resume(): void {
    this.#held?.resolve();
    this.#held = null;
  }

  /** Refuses everything from now on. */
  close(): void {
    this.#closed = true;
    this.resume();
    this.#waiting?.reject(new RoundtableError("sdk/closed", "The connection is closed."));
    this.#waiting = null;
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting !== null && !this.#closed) {
      // All that is asked for meanwhile becomes one offer.
      await this.#awaitWay();
      const round: Round | null = this.#waiting;
      if (round === null) break;
      this.#waiting = null;
      try {
        await this.#offer(round.iceRestart);
        round.resolve();
      } catch (error) {
        await this.#rollBack();
        round.reject(toRoundtableError(error, "sdk/negotiation"));
      }
    }
    this.#running = false;
  }

  async #offer(iceRestart: boolean): Promise<void> {
    if (this.#closed) throw new RoundtableError("sdk/closed", "The connection is closed.");
    const connection = this.#connection;
    this.#host.prepare();
    await connection.setLocalDescription(await connection.createOffer(iceRestart ? { iceRestart } : {}));
    const offer = compactOffer(connection.localDescription?.sdp ?? "");
    if (offer.length > MAX_SDP_BYTES) {
      throw new RoundtableError("sdp/too-large", `The offer has ${offer.length} bytes.`);
    }
    const answer = await this.#exchange(offer);
    if (this.#closed) throw new RoundtableError("sdk/closed", "The connection is closed.");
    await connection.setRemoteDescription({ type: "answer", sdp: answer.sdp });
    this.#host.answered(answer.tracks, offer);
  }

  async #exchange(offer: string): Promise<{ sdp: string; tracks: PublishedTrack[] }> {
    for (;;) {
      await this.#awaitWay();
      const losses = this.#losses;
      try {
        return await this.#host.exchange(offer, this.#host.describe());
      } catch (error) {
        if (this.#losses === losses || this.#closed) throw error;
      }
    }
  }

  /** Resolves when offers can be sent. */
  async #awaitWay(): Promise<void> {
    while (this.#held !== null) await this.#held.done;
  }

  async #rollBack(): Promise<void> {
    if (this.#closed || this.#connection.signalingState !== "have-local-offer") return;
    try {
      await this.#connection.setLocalDescription({ type: "rollback" });
    } catch {
      // The next offer will tell whether the connection is still of use.
    }
  }
}
