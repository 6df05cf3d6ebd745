// The others in a room and what they publish.

import { type FrameSource, firstFrame } from "./frame.ts";
import type { Attributes } from "./local.ts";
import type { Clock } from "./platform.ts";
import type {
  Event,
  MediaKind,
  MemberId,
  MemberInfo,
  SlotOwner,
  TrackId,
  TrackInfo,
  TrackSource,
} from "./protocol.ts";

/** Whether a source is heard or seen. */
export function kindOf(source: TrackSource): MediaKind {
  return source === "microphone" || source === "screenAudio" ? "audio" : "video";
}

/** A track of somebody else. */
export class RemoteTrackPublication {
  readonly id: TrackId;
  readonly member: MemberId;
  readonly source: TrackSource;
  readonly #clock: Clock;
  #info: TrackInfo;
  #wanted = true;
  #seat: { mid: string; track: MediaStreamTrack; rtpTimestamp: number } | null = null;

  /** @internal */
  constructor(info: TrackInfo, clock: Clock) {
    this.id = info.id;
    this.member = info.member;
    this.source = info.source;
    this.#info = info;
    this.#clock = clock;
  }

  get kind(): MediaKind {
    return kindOf(this.source);
  }

  /** Whether its owner muted it. */
  get muted(): boolean {
    return this.#info.muted;
  }

  /** The codec its owner sends, such as `VP8`; empty while unknown. */
  get codec(): string {
    return this.#info.codec;
  }

  /** Encodings its owner sends. */
  get layers(): number {
    return this.#info.layers;
  }

  /** Whether we want it at all; see `Room.setSubscribed`. */
  get wanted(): boolean {
    return this.#wanted;
  }

  /** Ready for an element; null while the server sends nothing of it. The object may be another's before and after. */
  get track(): MediaStreamTrack | null {
    return this.#seat?.track ?? null;
  }

  /** The receiving m-line it comes by; null while the server sends nothing of it. */
  get mid(): string | null {
    return this.#seat?.mid ?? null;
  }

  /**
   * Puts the track into an element. Resolves with true when the element shows this owner's picture (a slot may show
   * another's last one until then: keep the element hidden), with false when `signal` ended it before.
   */
  attach(element: HTMLMediaElement, signal?: AbortSignal): Promise<boolean> {
    const seat = this.#seat;
    if (seat === null) return Promise.resolve(false);
    const shown = element.srcObject instanceof MediaStream ? element.srcObject.getTracks() : [];
    if (shown.length !== 1 || shown[0] !== seat.track) element.srcObject = new MediaStream([seat.track]);
    if (this.kind === "audio") return Promise.resolve(true);
    return firstFrame(element as FrameSource, seat.rtpTimestamp, this.#clock, signal);
  }

  /** @internal */
  handleInfo(info: TrackInfo): void {
    this.#info = info;
  }

  /** @internal */
  handleMuted(muted: boolean): void {
    this.#info = { ...this.#info, muted };
  }

  /** @internal */
  handleWanted(wanted: boolean): void {
    this.#wanted = wanted;
  }

  /** @internal */
  handleSeat(mid: string, owner: SlotOwner, track: MediaStreamTrack): void {
    this.#seat = { mid, track, rtpTimestamp: owner.rtpTimestamp };
  }

  /** Takes the track away; gives it back to say goodbye to. @internal */
  release(): MediaStreamTrack | null {
    const track = this.track;
    this.#seat = null;
    return track;
  }
}

/** Somebody else in the room. */
export class RemoteParticipant {
  readonly id: MemberId;
  /** What they publish. */
  readonly publications = new Map<TrackId, RemoteTrackPublication>();
  #member: MemberInfo;
  #speaking = false;

  /** @internal */
  constructor(member: MemberInfo) {
    this.id = member.id;
    this.#member = member;
  }

  /** Their name: text, never markup. It can change, as the other two can: `participantUpdated` tells. */
  get name(): string {
    return this.#member.name;
  }

  /** Who they are to whoever let them in; undefined for guests. */
  get identity(): string | undefined {
    return this.#member.identity;
  }

  /** Text of the application's own. */
  get metadata(): string | undefined {
    return this.#member.metadata;
  }

  /** The same by key. */
  get attributes(): Attributes {
    return this.#member.attributes ?? {};
  }

  /** Whether they speak now. */
  get isSpeaking(): boolean {
    return this.#speaking;
  }

  /** Their first publication of a source. */
  publication(source: TrackSource): RemoteTrackPublication | undefined {
    for (const publication of this.publications.values()) {
      if (publication.source === source) return publication;
    }
    return undefined;
  }

  /** What is seen of them; says whether that is news. @internal */
  handleMember(member: MemberInfo): boolean {
    const isNews = (member.version ?? 0) > (this.#member.version ?? 0);
    if (isNews) this.#member = member;
    return isNews;
  }

  /** The same, as an event tells it. @internal */
  handleUpdated({ name, metadata, attributes, version }: Extract<Event, { type: "memberUpdated" }>): boolean {
    const { id, identity } = this.#member;
    return this.handleMember({
      id,
      name,
      attributes,
      version,
      ...(identity === undefined ? {} : { identity }),
      ...(metadata === undefined ? {} : { metadata }),
    });
  }

  /** @internal */
  handleSpeaking(speaking: boolean): void {
    this.#speaking = speaking;
  }
}
