// Seats: pairs of receiving m-lines, appended and never taken away.
import { preferCodecs, preferredCodecs } from "./codecs.ts";
import { askForExtensions } from "./extensions.ts";
import { MAX_SDP_BYTES, MAX_SEATS, MAX_VOICE_SLOTS } from "./limits.ts";
import type { Platform } from "./platform.ts";
import { bytesPerSeat } from "./sdp.ts";

/** Bytes kept free in an offer for tracks that are published later. */
const ROOM_FOR_OWN_TRACKS = 8 * 1024;

/**
 * The receiving side of a peer connection. Seat k is the k-th receiving audio with the k-th receiving video. Audio alone,
 * behind the first seats, is a voice slot: on it the server lets those be heard who speak and have no seat.
 */
export class Seats {
  readonly #connection: RTCPeerConnection;
  readonly #platform: Platform;
  readonly #transceivers: RTCRtpTransceiver[] = [];
  readonly #voices: RTCRtpTransceiver[] = [];
  #wanted = 0;
  #wantedVoices = 0;
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

  /** Wishes for voice slots; at most {@link MAX_VOICE_SLOTS}. */
  wantVoices(voices: number): void {
    this.#wantedVoices = Math.max(this.#wantedVoices, Math.min(voices, MAX_VOICE_SLOTS));
  }

  /** Adds what is wished for to the connection. */
  grow(): void {
    const audio = preferredCodecs("audio", this.#platform.receivableCodecs("audio"));
    const video = preferredCodecs("video", this.#platform.receivableCodecs("video"));
    while (this.count < this.#wanted) {
      for (const [kind, codecs] of [["audio", audio] as const, ["video", video] as const]) {
        this.#transceivers.push(this.#add(kind, codecs));
      }
    }
    // Behind the pairs: the server takes surplus audio lines of an offer for voice slots.
    while (this.#voices.length < this.#wantedVoices) this.#voices.push(this.#add("audio", audio));
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
    const all = [...this.#transceivers, ...this.#voices];
    return all.find((transceiver) => transceiver.mid === mid)?.receiver.track;
  }

  #add(kind: "audio" | "video", codecs: RTCRtpCodec[]): RTCRtpTransceiver {
    const transceiver = this.#connection.addTransceiver(kind, { direction: "recvonly" });
    preferCodecs(transceiver, codecs);
    askForExtensions(transceiver);
    return transceiver;
  }
}
