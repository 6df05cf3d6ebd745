// Seats: pairs of receiving m-lines, appended and never taken away.
import { preferCodecs, preferredCodecs } from "./codecs.ts";
import { askForExtensions } from "./extensions.ts";
import { MAX_SDP_BYTES, MAX_SEATS } from "./limits.ts";
import type { Platform } from "./platform.ts";
import { bytesPerSeat } from "./sdp.ts";

/** Bytes kept free in an offer for tracks that are published later. */
const ROOM_FOR_OWN_TRACKS = 8 * 1024;

/** The receiving side of a peer connection. Seat k is the k-th receiving audio with the k-th receiving video. */
export class Seats {
  readonly #connection: RTCPeerConnection;
  readonly #platform: Platform;
  readonly #transceivers: RTCRtpTransceiver[] = [];
  #wanted = 0;
  #most = MAX_SEATS;

  constructor(connection: RTCPeerConnection, platform: Platform) {
    this.#connection = connection;
    this.#platform = platform;
  }

  /** Seats that exist. */
  get count(): number {
    return this.#transceivers.length / 2;
  }

  /** Wishes for `seats` in all; true when an offer is needed. Fewer than there are changes nothing. */
  want(seats: number): boolean {
    this.#wanted = Math.min(Math.max(this.#wanted, seats), this.#most);
    return this.#wanted > this.count;
  }

  /** Adds what is wished for to the connection. */
  grow(): void {
    const audio = preferredCodecs("audio", this.#platform.receivableCodecs("audio"));
    const video = preferredCodecs("video", this.#platform.receivableCodecs("video"));
    while (this.count < this.#wanted) {
      for (const [kind, codecs] of [["audio", audio] as const, ["video", video] as const]) {
        const transceiver = this.#connection.addTransceiver(kind, { direction: "recvonly" });
        preferCodecs(transceiver, codecs);
        askForExtensions(transceiver);
        this.#transceivers.push(transceiver);
      }
    }
  }

  /** Learns from an offer how many seats fit into one. */
  measure(offer: string): void {
    const each = bytesPerSeat(offer);
    if (each === 0) return;
    const free = MAX_SDP_BYTES - ROOM_FOR_OWN_TRACKS - (offer.length - each * this.count);
    this.#most = Math.max(this.count, Math.min(MAX_SEATS, Math.floor(free / each)));
  }

  /** The track of a receiving m-line. */
  track(mid: string): MediaStreamTrack | undefined {
    return this.#transceivers.find((transceiver) => transceiver.mid === mid)?.receiver.track;
  }
}
