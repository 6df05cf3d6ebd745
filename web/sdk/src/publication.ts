// What this client publishes, and the m-lines that carry it.
import { cameraEncodings, preferCodecs, preferredCodecs, screenEncodings } from "./codecs.ts";
import { EncodingSwitch } from "./encodings.ts";
import { askForExtensions } from "./extensions.ts";
import type { Platform } from "./platform.ts";
import type {
  EncodingWish,
  MediaKind,
  PublishedTrack,
  PublishRequest,
  TrackId,
  TrackSource,
} from "./protocol.ts";
import { kindOf } from "./remote.ts";

/** An own track. It outlives connections: after coming back the same one is published anew. */
export class LocalTrackPublication {
  readonly source: TrackSource;
  #track: MediaStreamTrack | null;
  #muted: boolean;
  #isHeld = false;
  #id: TrackId | null = null;

  /** @internal */
  constructor(source: TrackSource, track: MediaStreamTrack | null, muted: boolean) {
    this.source = source;
    this.#track = track;
    this.#muted = muted;
  }

  get kind(): MediaKind {
    return kindOf(this.source);
  }

  /** What is sent; null while a muted camera is off. */
  get track(): MediaStreamTrack | null {
    return this.#track;
  }

  get muted(): boolean {
    return this.#muted;
  }

  /** Whether a moderator muted it, so that it cannot be unmuted until that is lifted. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** The id others know it by; null until the server gave one. */
  get id(): TrackId | null {
    return this.#id;
  }

  /** @internal */
  setTrack(track: MediaStreamTrack | null): void {
    this.#track = track;
  }

  /** @internal */
  setMuted(muted: boolean): void {
    this.#muted = muted;
  }

  /** @internal */
  setHeld(held: boolean): void {
    this.#isHeld = held;
  }

  /** @internal */
  setId(id: TrackId | null): void {
    this.#id = id;
  }
}

interface Line {
  readonly source: TrackSource;
  readonly transceiver: RTCRtpTransceiver;
  readonly encodings: EncodingSwitch;
  publication: LocalTrackPublication | null;
  /** The muting the last offer spoke of. */
  offeredMuted: boolean;
}

/** What changed between an offer and its answer, and is to be said now. */
export interface Belated {
  readonly unpublish: TrackId[];
  readonly mute: LocalTrackPublication[];
}

/** Wishes for tracks whose ids are not known yet, because the answer is being taken in; further ones are dropped. */
const MAX_EARLY_WISHES = 8;

/** The sending m-lines of one peer connection. One that fell free is used again for the same source. */
export class SendingLines {
  readonly #connection: RTCPeerConnection;
  readonly #platform: Platform;
  readonly #lines: Line[] = [];
  readonly #early = new Map<TrackId, readonly EncodingWish[]>();

  constructor(connection: RTCPeerConnection, platform: Platform) {
    this.#connection = connection;
    this.#platform = platform;
  }

  /**
   * Carries these publications and no others, with all their encodings: what a room before wanted or ended says nothing about
   * the next. Resolves when nothing else is sent.
   */
  async carry(publications: readonly LocalTrackPublication[]): Promise<void> {
    this.#early.clear();
    const changes = this.#lines.map(async (line) => {
      if (line.publication !== null && !publications.includes(line.publication)) line.publication = null;
      const { sender } = line.transceiver;
      const track = line.publication?.track ?? null;
      const isOn = line.encodings.handleWishes([]);
      if (sender.track !== track) await sender.replaceTrack(track);
      await isOn;
    });
    await Promise.all([...changes, ...publications.map((publication) => this.add(publication))]);
  }

  /** Gives a publication an m-line; it is sent once an offer is answered. */
  async add(publication: LocalTrackPublication): Promise<void> {
    if (this.#lineOf(publication) !== undefined) return;
    const free = this.#lines.find((l) => l.publication === null && l.source === publication.source);
    if (free !== undefined) {
      free.publication = publication;
      // What nobody wanted of the former track says nothing about this one.
      void free.encodings.handleWishes([]);
      await free.transceiver.sender.replaceTrack(publication.track);
      return;
    }
    const transceiver = this.#addTransceiver(publication);
    askForExtensions(transceiver);
    preferCodecs(
      transceiver,
      preferredCodecs(publication.kind, this.#platform.receivableCodecs(publication.kind)),
    );
    this.#lines.push({
      source: publication.source,
      transceiver,
      encodings: new EncodingSwitch(transceiver.sender),
      publication,
      offeredMuted: publication.muted,
    });
  }

  /** Sends nothing of it any more; its m-line falls free. */
  async remove(publication: LocalTrackPublication): Promise<void> {
    const line = this.#lineOf(publication);
    if (line === undefined) return;
    line.publication = null;
    await line.transceiver.sender.replaceTrack(null);
  }

  /** Sends what the publication's track is now. */
  async replace(publication: LocalTrackPublication): Promise<void> {
    await this.#lineOf(publication)?.transceiver.sender.replaceTrack(publication.track);
  }

  /** What the lines carry, for the offer just made. With `goOn` tracks of a lost connection keep their ids. */
  describe(goOn = false): PublishRequest[] {
    return this.#lines.flatMap((line) => {
      const { mid } = line.transceiver;
      if (mid === null || line.publication === null) return [];
      const { source, muted, id } = line.publication;
      line.offeredMuted = muted;
      return [{ mid, source, muted, ...(goOn && id !== null ? { track: id } : {}) }];
    });
  }

  /** The server's names for them. */
  handlePublished(tracks: readonly PublishedTrack[]): Belated {
    const belated: Belated = { unpublish: [], mute: [] };
    for (const { mid, track } of tracks) {
      const line = this.#lines.find((candidate) => candidate.transceiver.mid === mid);
      if (line === undefined) continue;
      const { publication, offeredMuted } = line;
      publication?.setId(track);
      const wishes = this.#early.get(track);
      if (wishes !== undefined) void line.encodings.handleWishes(wishes);
      if (publication === null) belated.unpublish.push(track);
      else if (publication.muted !== offeredMuted) belated.mute.push(publication);
    }
    this.#early.clear();
    return belated;
  }

  /** The server says which encodings of a track somebody wants. */
  handleLayers(track: TrackId, wishes: readonly EncodingWish[]): void {
    const line = this.#lines.find(({ publication }) => publication?.id === track);
    if (line !== undefined) void line.encodings.handleWishes(wishes);
    else if (this.#early.size < MAX_EARLY_WISHES) this.#early.set(track, wishes);
  }

  #lineOf(publication: LocalTrackPublication): Line | undefined {
    return this.#lines.find((line) => line.publication === publication);
  }

  #addTransceiver({ source, kind, track }: LocalTrackPublication): RTCRtpTransceiver {
    const add = (sendEncodings?: RTCRtpEncodingParameters[]) =>
      this.#connection.addTransceiver(track ?? kind, {
        direction: "sendonly",
        ...(sendEncodings === undefined ? {} : { sendEncodings }),
      });
    if (kind === "audio") return add();
    const height = track?.getSettings().height;
    const encodings = (temporal: boolean) =>
      source === "screen" ? screenEncodings(temporal) : cameraEncodings(height, temporal);
    try {
      return add(encodings(true));
    } catch {
      // This browser knows `scalabilityMode`, but not this one for its first codec.
      return add(encodings(false));
    }
  }
}
