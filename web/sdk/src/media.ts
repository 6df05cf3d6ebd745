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
  onFailed(media: Media, error: RoundtableError): void;
}

/** What a peer connection begins with. */
export interface MediaOptions {
  readonly configuration: RTCConfiguration;
  /** Whether this member had another connection before, whose tracks go on with this one. */
  readonly fresh: boolean;
}

/** What is offered on entering a room. */
export interface Beginning {
  readonly publications: readonly LocalTrackPublication[];
  readonly seats: number;
  readonly voiceSlots: number;
}

/**
 * From the first offer to the end, in one room after the other. It is never mended beyond an ICE restart, but replaced by
 * another.
 */
export class Media {
  readonly connection: RTCPeerConnection;
  readonly #platform: Platform;
  readonly #options: MediaOptions;
  /** The room it is in; null between two rooms. */
  #host: MediaHost | null;
  readonly #lines: SendingLines;
  readonly #seats: Seats;
  readonly #negotiation: Negotiation;
  #channel: MessageChannel | null = null;
  #data: DataWays | null = null;
  #restart: TimerHandle = null;
  #isAlive = true;
  #isAnswered = false;
  /** Whether there is a way to the server. */
  #hasWay = true;
  /** Whether it carries what the room is to get, and offers of it may be made. */
  #isLaden = false;
  #isReady = false;

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
      exchange: (sdp, tracks) => this.#host?.offer(sdp, tracks, this.#isNews) ?? Promise.reject(closed()),
      answered: (tracks, offer) => this.#handleAnswered(tracks, offer),
    });
    connection.onconnectionstatechange = () => this.#handleState(connection.connectionState);
  }

  /** Whether it works, as far as one knows. */
  get isAlive(): boolean {
    return this.#isAlive;
  }

  /** Whether the server ever answered, in this room or one before. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** Whether what it began with in this room is in force. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether chat can go this way. */
  get isChannelOpen(): boolean {
    return this.#isAlive && this.#channel?.isOpen === true;
  }

  /** Makes the first offer in a room, with these tracks and no others; resolves when its answer is in force. */
  async begin({ publications, seats, voiceSlots }: Beginning): Promise<void> {
    const host = this.#host;
    await this.#lines.carry(publications);
    // Sent on to another room already, which begins for itself.
    if (host === null || host !== this.#host || !this.#isAlive) throw closed();
    this.#openChannels(host);
    this.#seats.want(seats);
    this.#seats.wantVoices(voiceSlots);
    const answered = this.#negotiation.negotiate();
    this.#isLaden = true;
    if (this.#hasWay) this.#negotiation.resume();
    await answered;
    if (host === this.#host) this.#isReady = true;
  }

  /**
   * Leaves its room, and is in none until {@link enter}. Nothing of that room is heard or said from now on, and offers wait;
   * what was on its way over the channels is lost.
   */
  leave(): void {
    this.#host = null;
    this.#isReady = false;
    this.#isLaden = false;
    this.#negotiation.hold();
    this.#closeChannels();
  }

  /** Goes on in another room, over a way that stands; {@link begin} follows. */
  enter(host: MediaHost): void {
    this.#host = host;
    this.#hasWay = true;
  }

  /** The way to the server is lost: what goes on goes on, offers wait. */
  hold(): void {
    this.#hasWay = false;
    this.#negotiation.hold();
  }

  /** There is a way again. */
  resume(): void {
    this.#hasWay = true;
    if (this.#isLaden) this.#negotiation.resume();
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
    this.#closeChannels();
    this.connection.close();
  }

  /** Whether the server knows another connection of this member, or none yet. */
  get #isNews(): boolean {
    return this.#options.fresh && !this.#isAnswered;
  }

  #openChannels(host: MediaHost): void {
    const channel = this.connection.createDataChannel(CHAT_CHANNEL_LABEL, { ordered: true });
    this.#channel = new MessageChannel(channel, {
      onMessage: (message) => host.onMessage(message),
      onWritable: () => host.onWritable(),
    });
    this.#data = new DataWays(this.connection, {
      onData: (stamp, payload, lossy) => host.onData(stamp, payload, lossy),
      onMessage: (message) => host.onMessage(message),
      onWritable: () => host.onDataWritable(),
    });
  }

  #closeChannels(): void {
    this.#channel?.close();
    this.#data?.close();
    this.#channel = null;
    this.#data = null;
  }

  #handleAnswered(tracks: PublishedTrack[], offer: string): void {
    this.#isAnswered = true;
    this.#seats.measure(offer);
    const host = this.#host;
    // Its tracks ended with the stay in the room that answered.
    if (host === null) return;
    const { unpublish, mute } = this.#lines.handlePublished(tracks);
    for (const track of unpublish) host.unpublish(track);
    for (const publication of mute) host.mute(publication);
  }

  #handleState(state: RTCPeerConnectionState): void {
    this.#platform.clock.clear(this.#restart);
    if (state === "failed" || state === "closed") {
      this.#fail(new RoundtableError("sdk/media-failed", "Sound and pictures could not get through."));
    } else if (state === "disconnected") {
      this.#restart = this.#platform.clock.set(() => this.restartIce(), ICE_RESTART_AFTER_MS);
      this.#host?.onDoubt();
    }
  }

  #negotiateOrFail(options: { iceRestart?: boolean } = {}): void {
    this.#negotiation.negotiate(options).catch((error: unknown) => {
      const { code, message } = toRoundtableError(error, "sdk/negotiation");
      if (isBroken(code)) this.#fail(new RoundtableError("sdk/media-failed", message));
    });
  }

  #fail(error: RoundtableError): void {
    if (!this.#isAlive) return;
    if (this.#host === null) this.giveUp();
    else this.#host.onFailed(this, error);
  }
}

function closed(): RoundtableError {
  return new RoundtableError("sdk/closed", "The connection is closed.");
}

/** A refused growth leaves everything as it was; that the two ends do not agree any more does not. */
function isBroken(code: RoundtableErrorCode): boolean {
  return code === "sdk/negotiation" || code === "sdp/changed";
}
