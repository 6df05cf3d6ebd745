// This client's own camera, microphone and screen.
import { openCamera, openMicrophone, openScreen } from "./devices.ts";
import { RoundtableError } from "./errors.ts";
import type { Platform } from "./platform.ts";
import type { MemberChange, MemberId, MemberInfo, TrackId, TrackSource } from "./protocol.ts";
import { LocalTrackPublication } from "./publication.ts";

/** What the participant asks of its room. @internal */
export interface LocalHost {
  /** Publishes, if there is a connection; on coming back all are published anyway. */
  publish(publication: LocalTrackPublication): Promise<void>;
  unpublish(publication: LocalTrackPublication): Promise<void>;
  replace(publication: LocalTrackPublication): Promise<void>;
  mute(publication: LocalTrackPublication): void;
  /** The server ended it: nothing is to be said, and nothing more is sent. */
  drop(publication: LocalTrackPublication): Promise<void>;
  /** Changes what others see of it. */
  update(change: MemberChange): Promise<void>;
  /** Something to show changed. */
  changed(): void;
}

/** Texts by key, which a member shows of itself. */
export type Attributes = Readonly<NonNullable<MemberInfo["attributes"]>>;

/** Oneself. All of it can be called before connecting and while reconnecting. */
export class LocalParticipant {
  readonly #platform: Platform;
  readonly #host: LocalHost;
  readonly #publications = new Map<TrackSource, LocalTrackPublication>();
  #member: MemberInfo | null = null;

  /** @internal */
  constructor(platform: Platform, host: LocalHost) {
    this.#platform = platform;
    this.#host = host;
  }

  /** The id of this membership; null before the first. It changes when the room is joined anew. */
  get id(): MemberId | null {
    return this.#member?.id ?? null;
  }

  get name(): string {
    return this.#member?.name ?? "";
  }

  /** Who one is to whoever let one in; undefined for guests. */
  get identity(): string | undefined {
    return this.#member?.identity;
  }

  /** Text of the application's own, which others read. */
  get metadata(): string | undefined {
    return this.#member?.metadata;
  }

  /** The same by key. */
  get attributes(): Attributes {
    return this.#member?.attributes ?? {};
  }

  get publications(): ReadonlyMap<TrackSource, LocalTrackPublication> {
    return this.#publications;
  }

  get isCameraEnabled(): boolean {
    return this.#isOn("camera");
  }

  get isMicrophoneEnabled(): boolean {
    return this.#isOn("microphone");
  }

  get isScreenShareEnabled(): boolean {
    return this.#isOn("screen");
  }

  /** Turns the camera on (asking for permission if need be), or off: its light goes out, others see a mute. */
  async setCameraEnabled(enabled: boolean, constraints?: MediaTrackConstraints): Promise<void> {
    const known = this.#publications.get("camera");
    if (enabled === this.isCameraEnabled && constraints === undefined) return;
    if (!enabled) {
      if (known === undefined) return;
      known.track?.stop();
      await this.#set(known, null, true);
      return;
    }
    const track = await openCamera(this.#platform.mediaDevices, constraints);
    await this.publishTrack(track, "camera");
  }

  /** Turns the microphone on, or mutes it. The device stays open, so that it is back at once. */
  async setMicrophoneEnabled(enabled: boolean, constraints?: MediaTrackConstraints): Promise<void> {
    const known = this.#publications.get("microphone");
    if (enabled === this.isMicrophoneEnabled && constraints === undefined) return;
    if (!enabled) {
      if (known !== undefined) await this.#set(known, known.track, true);
    } else if (known?.track?.readyState === "live" && constraints === undefined) {
      await this.#set(known, known.track, false);
    } else {
      await this.publishTrack(await openMicrophone(this.#platform.mediaDevices, constraints), "microphone");
    }
  }

  /** Begins to share a screen, window or tab that the person chooses, or ends it. */
  async setScreenShareEnabled(enabled: boolean): Promise<void> {
    if (enabled === this.isScreenShareEnabled) return;
    if (!enabled) {
      await Promise.all([this.unpublishTrack("screen"), this.unpublishTrack("screenAudio")]);
      return;
    }
    const stream = await openScreen(this.#platform.mediaDevices);
    const [video] = stream.getVideoTracks();
    const [audio] = stream.getAudioTracks();
    const published = [];
    if (video !== undefined) {
      // Text is to stay sharp, if need be at fewer pictures a second.
      video.contentHint = "detail";
      published.push(this.publishTrack(video, "screen"));
    }
    if (audio !== undefined) published.push(this.publishTrack(audio, "screenAudio"));
    await Promise.all(published);
  }

  /** Publishes any track, such as one from a preview or a canvas, in place of the present one of that source. */
  async publishTrack(
    track: MediaStreamTrack,
    source: TrackSource,
    options: { muted?: boolean } = {},
  ): Promise<LocalTrackPublication> {
    const muted = options.muted ?? false;
    track.addEventListener("ended", () => this.#handleEnded(source, track));
    const known = this.#publications.get(source);
    if (known !== undefined) {
      if (known.track !== track) known.track?.stop();
      await this.#set(known, track, muted);
      return known;
    }
    const publication = new LocalTrackPublication(source, track, muted);
    track.enabled = !muted;
    this.#publications.set(source, publication);
    this.#host.changed();
    try {
      await this.#host.publish(publication);
    } catch (error) {
      track.stop();
      await this.unpublishTrack(source).catch(() => {});
      throw error;
    }
    return publication;
  }

  /** Stops a track and takes it out of the room. */
  async unpublishTrack(source: TrackSource): Promise<void> {
    const publication = this.#publications.get(source);
    if (publication === undefined) return;
    this.#publications.delete(source);
    publication.track?.stop();
    this.#host.changed();
    await this.#host.unpublish(publication);
  }

  /**
   * Takes another name. Resolves when others see it; rejects with the server's word: `member/forbidden` without the grant
   * `updateOwnMetadata`, `hello/name`, `member/rate`. What was written before keeps the name of then.
   */
  setName(name: string): Promise<void> {
    return this.#host.update({ name });
  }

  /** Shows other metadata, or with an empty text none; as {@link LocalParticipant.setName}. */
  setMetadata(metadata: string): Promise<void> {
    return this.#host.update({ metadata });
  }

  /** Shows these attributes beside those that are there; null takes one away. As {@link LocalParticipant.setName}. */
  setAttributes(attributes: Readonly<Record<string, string | null>>): Promise<void> {
    return this.#host.update({ attributes: { ...attributes } });
  }

  /** Stops all devices. */
  stop(): void {
    for (const publication of this.#publications.values()) publication.track?.stop();
    this.#publications.clear();
    this.#host.changed();
  }

  /** @internal */
  handleWelcome(member: MemberInfo): void {
    this.#member = member;
    for (const publication of this.#publications.values()) {
      publication.setId(null);
      publication.setHeld(false);
    }
  }

  /** What others see of one; says whether that is news. @internal */
  handleMember(member: MemberInfo): boolean {
    const isNews = member.id === this.#member?.id && (member.version ?? 0) > (this.#member.version ?? 0);
    if (isNews) this.#member = member;
    return isNews;
  }

  /**
   * The server muted a track, because it sent more than it may, or a moderator did; `held` says whether its owner cannot
   * unmute it until that is lifted. @internal
   */
  handleMuted(track: TrackId, held: boolean): void {
    for (const publication of this.#publications.values()) {
      if (publication.id !== track) continue;
      publication.setHeld(held);
      if (publication.muted) continue;
      publication.setMuted(true);
      if (publication.track !== null) publication.track.enabled = false;
      this.#host.changed();
    }
  }

  /** A moderator lifted a mute. It stays silent until its owner unmutes it. @internal */
  handleUnmuted(track: TrackId): void {
    for (const publication of this.#publications.values()) {
      if (publication.id !== track || !publication.isHeld) continue;
      publication.setHeld(false);
      this.#host.mute(publication);
      this.#host.changed();
    }
  }

  /** The server ended these tracks: their devices are stopped, and later offers leave them out. @internal */
  handleEnded(isOver: (publication: LocalTrackPublication) => boolean): TrackSource[] {
    const over = [...this.#publications.values()].filter(isOver);
    for (const publication of over) {
      this.#publications.delete(publication.source);
      publication.track?.stop();
      void this.#host.drop(publication).catch(() => {});
    }
    if (over.length > 0) this.#host.changed();
    return over.map(({ source }) => source);
  }

  async #set(
    publication: LocalTrackPublication,
    track: MediaStreamTrack | null,
    muted: boolean,
  ): Promise<void> {
    if (!muted && publication.isHeld) {
      if (track !== publication.track) track?.stop();
      throw new RoundtableError("track/muted-by-host", "A moderator muted you.");
    }
    const replaced = publication.track !== track;
    publication.setTrack(track);
    publication.setMuted(muted);
    if (track !== null) track.enabled = !muted;
    this.#host.changed();
    // Unmute only after the new track is in place, so that nobody sees the old one's last picture.
    if (replaced) await this.#host.replace(publication);
    this.#host.mute(publication);
  }

  #isOn(source: TrackSource): boolean {
    const publication = this.#publications.get(source);
    return publication !== undefined && !publication.muted && publication.track?.readyState === "live";
  }

  /** A device was unplugged, or sharing was ended by the browser's own button. */
  #handleEnded(source: TrackSource, track: MediaStreamTrack): void {
    const publication = this.#publications.get(source);
    if (publication?.track !== track) return;
    if (source === "screen" || source === "screenAudio") void this.unpublishTrack(source).catch(() => {});
    else void this.#set(publication, null, true).catch(() => {});
  }
}
