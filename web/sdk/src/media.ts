// One peer connection: what it sends and receives, its chat channel, and whether it still works.
import { MessageChannel } from "./channel.ts";
import { DataWays } from "./data/ways.ts";
import { RoundtableError, type RoundtableErrorCode, toRoundtableError } from "./errors.ts";
import { Negotiation } from "./negotiation.ts";
import type { Platform, TimerHandle } from "./platform.ts";
import {
  CHAT_CHANNEL_LABEL,
  type ClientMessage,
  type DataHeader,
  type DataStamp,
  type EncodingWish,
  type PublishedTrack,
  type PublishRequest,
  type ServerMessage,
  type TrackId,
} from "./protocol.ts";
import { type LocalTrackPublication, SendingLines } from "./publication.ts";
import { Seats } from "./seats.ts";

/** A path that stays broken for this long gets new candidates. */
export const ICE_RESTART_AFTER_MS = 2_000;

/** What a peer connection needs of its session. */
export interface MediaHost {
  /** Sends an offer, gives its answer; `fresh` until the first one is answered, if there was a connection before. */
  offer(
    sdp: string,
    tracks: PublishRequest[],
    fresh: boolean,
  ): Promise<{ sdp: string; tracks: PublishedTrack[] }>;
  /** A track got its id when its publication had ended already. */
  unpublish(track: TrackId): void;
  /** A track was muted or unmuted while its id was not known. */
  mute(publication: LocalTrackPublication): void;
  /** Something came over the chat channel. */
  onMessage(message: ServerMessage): void;
  /** The chat channel opened, or drained. */
  onWritable(): void;
  /** Data came over its channels. */
  onData(stamp: DataStamp, payload: Uint8Array, lossy: boolean): void;
  /** A data channel opened, or drained. */
  onDataWritable(): void;
  /** Nothing comes: perhaps the whole network is gone. */
  onDoubt(): void;
  /** It does not work any more: make another. */
  onFailed(error: RoundtableError): void;
}

/** What a peer connection begins with. */
export interface MediaOptions {
  readonly configuration: RTCConfiguration;
  /** Whether this member had another connection before, whose tracks go on with this one. */
  readonly fresh: boolean;
  readonly seats: number;
  readonly voiceSlots: number;
}

/** From the first offer to the end. It is never mended beyond an ICE restart, but replaced by another. */
export class Media {
  readonly connection: RTCPeerConnection;
  readonly #platform: Platform;
  readonly #options: MediaOptions;
  readonly #host: MediaHost;
  readonly #lines: SendingLines;
  readonly #seats: Seats;
  readonly #negotiation: Negotiation;
  #channel: MessageChannel | null = null;
  #data: DataWays | null = null;
  #restart: TimerHandle = null;
  #isAlive = true;
  #isAnswered = false;

  constructor(platform: Platform, options: MediaOptions, host: MediaHost) {
    this.#platform = platform;
    this.#options = options;
    this.#host = host;
    const connection = platform.createConnection({ bundlePolicy: "max-bundle", ...options.configuration });
    this.connection = connection;
    this.#lines = new SendingLines(connection, platform);
    this.#seats = new Seats(connection, platform);
    this.#negotiation = new Negotiation(connection, {
      prepare: () => this.#seats.grow(),
      describe: () => this.#lines.describe(this.#isNews),
      exchange: (sdp, tracks) => host.offer(sdp, tracks, this.#isNews),
      answered: (tracks, offer) => this.#handleAnswered(tracks, offer),
    });
    connection.onconnectionstatechange = () => this.#handleState(connection.connectionState);
  }

  /** Whether it works, as far as one knows. */
  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Whether the server ever answered. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** Whether chat can go this way. */
  get isChannelOpen(): boolean {
    return this.#isAlive && this.#channel?.isOpen === true;
  }

  /** Makes the first offer, with these tracks; resolves when its answer is in force. */
  async begin(publications: Iterable<LocalTrackPublication>): Promise<void> {
    for (const publication of publications) await this.#lines.add(publication);
    const channel = this.connection.createDataChannel(CHAT_CHANNEL_LABEL, { ordered: true });
    this.#channel = new MessageChannel(channel, {
      onMessage: (message) => this.#host.onMessage(message),
      onWritable: () => this.#host.onWritable(),
    });
    this.#data = new DataWays(this.connection, {
      onData: (stamp, payload, lossy) => this.#host.onData(stamp, payload, lossy),
      onMessage: (message) => this.#host.onMessage(message),
      onWritable: () => this.#host.onDataWritable(),
    });
    this.#seats.want(this.#options.seats);
    this.#seats.wantVoices(this.#options.voiceSlots);
    await this.#negotiation.negotiate();
  }

  /** The way to the server is lost: what goes on goes on, offers wait. */
  hold(): void {
    this.#negotiation.hold();
  }

  /** There is a way again. */
  resume(): void {
    this.#negotiation.resume();
  }

  async publish(publication: LocalTrackPublication): Promise<void> {
    await this.#lines.add(publication);
    await this.#negotiation.negotiate();
  }

  async unpublish(publication: LocalTrackPublication): Promise<void> {
    await this.#lines.remove(publication);
  }

  async replace(publication: LocalTrackPublication): Promise<void> {
    await this.#lines.replace(publication);
  }

  /** The track of a receiving m-line. */
  track(mid: string): MediaStreamTrack | undefined {
    return this.#seats.track(mid);
  }

  /** The server would have use for so many seats. */
  handleGrowth(seats: number): void {
    if (this.#isAlive && this.#seats.want(seats)) this.#negotiateOrFail();
  }

  /** The server says which encodings of an own track somebody wants. */
  handleLayers(track: TrackId, encodings: readonly EncodingWish[]): void {
    this.#lines.handleLayers(track, encodings);
  }

  /** Sends over the chat channel; false when it is closed or full. */
  sendChat(message: ClientMessage): boolean {
    return this.isChannelOpen && this.#channel?.send(message) === true;
  }

  /** Whether data can go this way. */
  isDataOpen(lossy: boolean): boolean {
    return this.#isAlive && this.#data?.isOpen(lossy) === true;
  }

  /** Sends data; false when the channel is closed or full. */
  sendData(header: DataHeader, payload: Uint8Array, lossy: boolean): boolean {
    return this.isDataOpen(lossy) && this.#data?.send(header, payload, lossy) === true;
  }

  /** Looks for another way through the network. */
  restartIce(): void {
    // Before the first answer there is nothing to restart.
    if (this.#isAlive && this.connection.currentRemoteDescription)
      this.#negotiateOrFail({ iceRestart: true });
  }

  /**
   * Counts as broken from now on. The browser's object is kept until {@link close}: closing it tells the server, who would
   * take a member without a socket for one that has left.
   */
  giveUp(): void {
    this.#isAlive = false;
    this.#platform.clock.clear(this.#restart);
    this.#negotiation.close();
    this.connection.onconnectionstatechange = null;
  }

  /** Ends it. */
  close(): void {
    this.giveUp();
    this.#channel?.close();
    this.#data?.close();
    this.connection.close();
  }

  /** Whether the server knows another connection of this member, or none yet. */
  get #isNews(): boolean {
    return this.#options.fresh && !this.#isAnswered;
  }

  #handleAnswered(tracks: PublishedTrack[], offer: string): void {
    this.#isAnswered = true;
    this.#seats.measure(offer);
    const { unpublish, mute } = this.#lines.handlePublished(tracks);
    for (const track of unpublish) this.#host.unpublish(track);
    for (const publication of mute) this.#host.mute(publication);
  }

  #handleState(state: RTCPeerConnectionState): void {
    this.#platform.clock.clear(this.#restart);
    if (state === "failed" || state === "closed") {
      this.#fail(new RoundtableError("sdk/media-failed", "Sound and pictures could not get through."));
    } else if (state === "disconnected") {
      this.#restart = this.#platform.clock.set(() => this.restartIce(), ICE_RESTART_AFTER_MS);
      this.#host.onDoubt();
    }
  }

  #negotiateOrFail(options: { iceRestart?: boolean } = {}): void {
    this.#negotiation.negotiate(options).catch((error: unknown) => {
      const { code, message } = toRoundtableError(error, "sdk/negotiation");
      if (isBroken(code)) this.#fail(new RoundtableError("sdk/media-failed", message));
    });
  }

  #fail(error: RoundtableError): void {
    if (this.#isAlive) this.#host.onFailed(error);
  }
}

/** A refused growth leaves everything as it was; that the two ends do not agree any more does not. */
function isBroken(code: RoundtableErrorCode): boolean {
  return code === "sdk/negotiation" || code === "sdp/changed";
}
