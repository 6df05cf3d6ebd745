// One membership: a signalling socket and a peer connection that live and die together.
import { MessageChannel } from "./channel.ts";
import { RoundtableError, type RoundtableErrorCode, toRoundtableError } from "./errors.ts";
import { MAX_SEATS } from "./limits.ts";
import { Negotiation } from "./negotiation.ts";
import type { Platform, TimerHandle } from "./platform.ts";
import {
  CHAT_CHANNEL_LABEL,
  type ClientMessage,
  type MemberStats,
  type ServerMessage,
  type TrackSource,
  type Welcome,
} from "./protocol.ts";
import { type LocalTrackPublication, SendingLines } from "./publication.ts";
import { Seats } from "./seats.ts";
import { Signal } from "./signal.ts";

/** A path that stays broken for this long gets new candidates. */
export const ICE_RESTART_AFTER_MS = 2_000;

/** What a session tells its room. */
export interface SessionHandlers {
  onWelcome(welcome: Welcome): void;
  /** Everything else the server says, by whichever way. */
  onMessage(message: ServerMessage): void;
  /** The first answer is in force. */
  onReady(): void;
  /** Chat can be sent (again). */
  onWritable(): void;
  /** Over; nothing follows. */
  onEnd(error: RoundtableError): void;
}

/** How to enter. */
export interface SessionOptions {
  readonly url: string;
  readonly name: string;
  readonly token: string | undefined;
  readonly configuration: RTCConfiguration;
  readonly maxSeats: number;
}

/** From hello to the end. It is never repaired, but replaced by another. */
export class Session {
  readonly #platform: Platform;
  readonly #options: SessionOptions;
  readonly #handlers: SessionHandlers;
  readonly #signal: Signal;
  #connection: RTCPeerConnection | null = null;
  #negotiation: Negotiation | null = null;
  #lines: SendingLines | null = null;
  #seats: Seats | null = null;
  #channel: MessageChannel | null = null;
  #restart: TimerHandle = null;
  #offNetwork: () => void = () => {};
  #mayPublish: (source: TrackSource) => boolean = () => true;
  /** Nonces of chat messages that went by the socket and are not acknowledged. */
  readonly #chatBySocket = new Set<number>();
  #ended = false;

  constructor(platform: Platform, nextId: () => number, options: SessionOptions, handlers: SessionHandlers) {
    this.#platform = platform;
    this.#options = options;
    this.#handlers = handlers;
    this.#signal = new Signal(platform, nextId);
  }

  /** The peer connection; null before `welcome`. */
  get connection(): RTCPeerConnection | null {
    return this.#connection;
  }

  /** Enters the room with these tracks. */
  open(publications: Iterable<LocalTrackPublication>): void {
    const { url, name, token, maxSeats } = this.#options;
    this.#signal.on("message", (message) => {
      if (message.type === "welcome") {
        this.#handlers.onWelcome(message);
        void this.#begin(message, publications);
      } else {
        this.#handleMessage(message);
      }
    });
    this.#signal.on("closed", (error) => this.#end(error));
    const hello = {
      name,
      maxSeats: Math.min(maxSeats, MAX_SEATS),
      ...(token === undefined ? {} : { token }),
    };
    this.#signal.open(url, hello);
  }

  /** Says something over the socket. */
  send(message: ClientMessage): boolean {
    return this.#signal.send(message);
  }

  /** Says a chat message: over the data channel when it is open, else over the socket. */
  sendChat(message: Extract<ClientMessage, { type: "chat" }>): boolean {
    // What is still on its way by the socket must not be overtaken by the channel.
    if (this.#channel?.isOpen === true && this.#chatBySocket.size === 0) return this.#channel.send(message);
    const isSent = this.#signal.send(message);
    if (isSent) this.#chatBySocket.add(message.nonce);
    return isSent;
  }

  async publish(publication: LocalTrackPublication): Promise<void> {
    if (!this.#mayPublish(publication.source)) {
      throw new RoundtableError("track/forbidden", "You may not publish this in this room.");
    }
    await this.#lines?.add(publication);
    await this.#negotiation?.negotiate();
  }

  async unpublish(publication: LocalTrackPublication): Promise<void> {
    if (publication.id !== null) this.send({ type: "unpublish", tracks: [publication.id] });
    await this.#lines?.remove(publication);
  }

  /** Tells the server whether a track is muted; before it has an id, the answer's arrival does. */
  mute({ id, muted }: LocalTrackPublication): void {
    if (id !== null) this.send({ type: "mute", track: id, muted });
  }

  async replace(publication: LocalTrackPublication): Promise<void> {
    await this.#lines?.replace(publication);
  }

  /** What the server measured of this membership. */
  serverStats(): Promise<MemberStats> {
    return this.#signal.stats();
  }

  /** The track of a receiving m-line. */
  track(mid: string): MediaStreamTrack | undefined {
    return this.#seats?.track(mid);
  }

  /** Leaves; no `onEnd` follows. */
  close(leave: boolean): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal.close(leave);
    this.#shut();
  }

  async #begin(welcome: Welcome, publications: Iterable<LocalTrackPublication>): Promise<void> {
    try {
      this.#connect(welcome);
      const { publish, sources } = welcome.grants;
      this.#mayPublish = (source) => publish && (sources?.includes(source) ?? true);
      for (const publication of publications) {
        if (this.#mayPublish(publication.source)) await this.#lines?.add(publication);
      }
      this.#openChannel();
      this.#seats?.want(welcome.seats);
      this.#seats?.wantVoices(welcome.voiceSlots);
      await this.#negotiation?.negotiate();
      if (!this.#ended) this.#handlers.onReady();
    } catch (error) {
      this.#end(toRoundtableError(error, "sdk/unsupported"));
    }
  }

  #connect(welcome: Welcome): void {
    const connection = this.#platform.createConnection({
      iceServers: welcome.iceServers,
      bundlePolicy: "max-bundle",
      ...this.#options.configuration,
    });
    this.#connection = connection;
    const lines = new SendingLines(connection, this.#platform);
    const seats = new Seats(connection, this.#platform);
    this.#lines = lines;
    this.#seats = seats;
    this.#negotiation = new Negotiation(connection, {
      prepare: () => seats.grow(),
      describe: () => lines.describe(),
      exchange: (sdp, tracks) => this.#signal.offer(sdp, tracks),
      answered: (tracks, offer) => {
        seats.measure(offer);
        const { unpublish, mute } = lines.handlePublished(tracks);
        if (unpublish.length > 0) this.send({ type: "unpublish", tracks: unpublish });
        for (const publication of mute) this.mute(publication);
      },
    });
    connection.onconnectionstatechange = () => this.#handleConnectionState(connection.connectionState);
    this.#offNetwork = this.#platform.onNetworkChange(() => {
      this.#signal.probe();
      this.#restartIce();
    });
  }

  #openChannel(): void {
    const channel = this.#connection?.createDataChannel(CHAT_CHANNEL_LABEL, { ordered: true });
    if (channel === undefined) return;
    this.#channel = new MessageChannel(channel, {
      onMessage: (message) => this.#handleMessage(message),
      onWritable: () => this.#handlers.onWritable(),
    });
  }

  #handleMessage(message: ServerMessage): void {
    if (this.#ended) return;
    if (message.type === "chat" && message.nonce !== undefined) this.#chatBySocket.delete(message.nonce);
    if (message.type === "error" && message.id !== undefined) this.#chatBySocket.delete(message.id);
    if (message.type === "growSeats" && this.#seats?.want(message.seats) === true) this.#negotiateOrEnd();
    if (message.type === "layers") this.#lines?.handleLayers(message.track, message.encodings);
    this.#handlers.onMessage(message);
  }

  #handleConnectionState(state: RTCPeerConnectionState): void {
    this.#platform.clock.clear(this.#restart);
    if (state === "failed") {
      this.#end(new RoundtableError("sdk/media-failed", "Sound and pictures could not get through."));
    } else if (state === "disconnected") {
      this.#restart = this.#platform.clock.set(() => this.#restartIce(), ICE_RESTART_AFTER_MS);
    }
  }

  #restartIce(): void {
    // Before the first answer there is nothing to restart.
    if (this.#connection?.currentRemoteDescription) this.#negotiateOrEnd({ iceRestart: true });
  }

  #negotiateOrEnd(options: { iceRestart?: boolean } = {}): void {
    this.#negotiation?.negotiate(options).catch((error: unknown) => {
      const { code, message } = toRoundtableError(error, "sdk/negotiation");
      if (isWorthANewSession(code)) this.#end(new RoundtableError(code, message));
    });
  }

  #end(error: RoundtableError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#signal.close(true);
    this.#shut();
    this.#handlers.onEnd(error);
  }

  #shut(): void {
    this.#platform.clock.clear(this.#restart);
    this.#offNetwork();
    this.#negotiation?.close();
    this.#channel?.close();
    const connection = this.#connection;
    if (connection !== null) {
      connection.onconnectionstatechange = null;
      connection.close();
    }
  }
}

/** A refused growth leaves everything as it was; a lost answer does not. */
function isWorthANewSession(code: RoundtableErrorCode): boolean {
  return code === "sdk/negotiation" || code === "sdp/changed" || code === "sdk/media-failed";
}
