// One stay in a room: it outlives the sockets and the peer connections it has one after the other.
import { fromBase64, toBase64 } from "./data/frame.ts";
import { RoundtableError, toRoundtableError } from "./errors.ts";
import { Heard } from "./heard.ts";
import { MAX_SEATS } from "./limits.ts";
import { Media, type MediaHost } from "./media.ts";
import type { NetworkChange, Platform } from "./platform.ts";
import type {
  Call,
  CallAnswer,
  ClientMessage,
  DataHeader,
  DataStamp,
  Grants,
  MemberChange,
  MemberInfo,
  MemberStats,
  ModerationAction,
  ModerationOutcome,
  Resumed,
  ResumeTicket,
  ServerMessage,
  TrackId,
  Welcome,
} from "./protocol.ts";
import type { LocalTrackPublication } from "./publication.ts";
import type { Transports } from "./signal/transports.ts";
import { Signal } from "./signal.ts";
import { Unconfirmed } from "./unconfirmed.ts";

/** A data channel that is not open by then is done without. */
export const DATA_CHANNEL_WITHIN_MS = 3_000;

/** What a session tells its room. */
export interface SessionHandlers {
  /** In the room as a new member: what was known of an earlier membership is void. */
  onWelcome(welcome: Welcome): void;
  /** In the room as the same member; what was missed follows. */
  onResumed(resumed: Resumed): void;
  /** There is another peer connection, or none: nothing is received on the m-lines of the one before. */
  onMedia(): void;
  /** Everything else the server says, by whichever way. */
  onMessage(message: ServerMessage): void;
  /** Socket and peer connection stand. */
  onReady(): void;
  /** Data came, by whichever way. */
  onData(stamp: DataStamp, payload: Uint8Array, lossy: boolean): void;
  /** Data can be sent (again). */
  onDataWritable(): void;
  /** Chat can be sent (again). */
  onWritable(): void;
  /** Chat that was sent may not have arrived. */
  onChatLost(): void;
  /** The socket or the peer connection is lost: {@link Session.open} tries to come back. */
  onLost(error: RoundtableError): void;
}

/** How to enter. */
export interface SessionOptions {
  readonly url: string;
  /** The name to say at the next hello. */
  readonly name: () => string;
  readonly token: string | undefined;
  readonly configuration: RTCConfiguration;
  readonly maxSeats: number;
  /** What is known of the network. */
  readonly transports: Transports;
  /** The own tracks of now. */
  readonly publications: () => Iterable<LocalTrackPublication>;
  /** What {@link Session.release} of the room before gave. */
  readonly media: Media | null;
}

/** What is known of a membership, and survives the loss of its socket. */
interface Membership {
  readonly welcome: Welcome;
  readonly ticket: ResumeTicket | undefined;
  epoch: number;
  heard: Heard;
  grants: Grants;
  iceServers: RTCIceServer[];
}

/**
 * Socket and peer connection are lost and found apart. Whatever is lost, another socket is opened, which also brings the
 * events and the chat that were missed; the peer connection stays if both ends still have it, else another one carries on
 * with the same tracks. Who is sent to another room has another session there, which may get the peer connection of this one.
 */
export class Session {
  readonly #platform: Platform;
  readonly #nextId: () => number;
  readonly #options: SessionOptions;
  readonly #handlers: SessionHandlers;
  readonly #unconfirmed = new Unconfirmed();
  /** Nonces of chat messages that went by the socket and are not acknowledged. */
  readonly #chatBySocket = new Set<number>();
  #membership: Membership | null = null;
  #signal: Signal | null = null;
  /** Whether the server has answered the hello on the present socket. */
  #isEntered = false;
  #media: Media | null = null;
  /** A broken peer connection that the server may still know. */
  #former: Media | null = null;
  /** A peer connection that is in no room: the server took it out of this one, or is to take it into it. */
  #between: Media | null;
  /** What a peer connection has to do with this session. */
  readonly #mediaHost: MediaHost = {
    offer: (sdp, tracks, isNews) =>
      this.#signal?.offer(sdp, tracks, isNews) ??
      Promise.reject(new RoundtableError("sdk/closed", "The connection is closed.")),
    unpublish: (track) => this.#unpublish(track),
    mute: (publication) => this.mute(publication),
    onMessage: (message) => this.#handleMessage(message),
    onWritable: () => this.#handlers.onWritable(),
    onDoubt: () => this.#signal?.probe(),
    onData: (stamp, payload, lossy) => this.#handleData(stamp, payload, lossy),
    onDataWritable: () => this.#handlers.onDataWritable(),
    onFailed: (media, error) => this.#loseMedia(media, error),
  };
  /** Whether the server may have sent chat into a peer connection that was broken. */
  #mayMissChat = false;
  #isClosed = false;
  #mediaSince = 0;

  constructor(platform: Platform, nextId: () => number, options: SessionOptions, handlers: SessionHandlers) {
    this.#platform = platform;
    this.#nextId = nextId;
    this.#options = options;
    this.#handlers = handlers;
    this.#between = options.media;
  }

  /** The peer connection; null before `welcome`, unless it comes from another room. */
  get connection(): RTCPeerConnection | null {
    return (this.#media ?? this.#between)?.connection ?? null;
  }

  /** Opens a socket and enters the room with it, as the same member if the server still knows it. */
  open(): void {
    this.#dropSocket();
    const signal = new Signal(this.#platform, this.#nextId, (url) => this.#options.transports.open(url));
    this.#signal = signal;
    signal.on("message", (message) => {
      if (this.#signal === signal) this.#handleSignal(message);
    });
    signal.on("closed", (error) => {
      if (this.#signal === signal) this.#lose(error);
    });
    const { url, name, token, maxSeats } = this.#options;
    const { ticket, epoch, heard } = this.#membership ?? {};
    const resume =
      ticket === undefined || epoch === undefined || heard === undefined
        ? {}
        : { resume: { token: ticket.token, epoch, seq: heard.allTo } };
    signal.open(url, {
      name: name(),
      maxSeats: Math.min(maxSeats, MAX_SEATS),
      ...(token === undefined ? {} : { token }),
      ...(this.#between?.isAlive === true ? { media: true } : {}),
      ...resume,
    });
  }

  /** Says something over the socket; false when there is none. */
  send(message: ClientMessage): boolean {
    return this.#isEntered && this.#signal?.send(message) === true;
  }

  /** Says a chat message: over the data channel when it is open, else over the socket. */
  sendChat(message: Extract<ClientMessage, { type: "chat" }>): boolean {
    // What is still on its way by the socket must not be overtaken by the channel.
    if (this.#media?.isChannelOpen === true && this.#chatBySocket.size === 0)
      return this.#media.sendChat(message);
    const isSent = this.send(message);
    if (isSent) this.#chatBySocket.add(message.nonce);
    return isSent;
  }

  /**
   * Sends data over its channel, or over the socket where that does not open; false when it must wait. What went by the
   * socket would be overtaken by the channel, so it is given some time.
   */
  sendData(header: DataHeader, payload: Uint8Array, lossy: boolean): boolean {
    if (this.#media?.isDataOpen(lossy) === true) return this.#media.sendData(header, payload, lossy);
    const isLate = this.#platform.clock.now() - this.#mediaSince > DATA_CHANNEL_WITHIN_MS;
    return (
      isLate &&
      this.send({ type: "data", ...header, payload: toBase64(payload), ...(lossy ? { lossy } : {}) })
    );
  }

  /** Publishes a track. One that a broken connection catches is published by the next. */
  async publish(publication: LocalTrackPublication): Promise<void> {
    if (!this.mayPublish(publication)) {
      throw new RoundtableError("track/forbidden", "You may not publish this in this room.");
    }
    const media = this.#media;
    if (media?.isAlive !== true) return;
    try {
      await media.publish(publication);
    } catch (error) {
      if (media.isAlive && media === this.#media) throw error;
    }
  }

  async unpublish(publication: LocalTrackPublication): Promise<void> {
    if (publication.id !== null) this.#unpublish(publication.id);
    await this.#media?.unpublish(publication);
  }

  /** Stops sending a track that the server ended; later offers leave it out. */
  async drop(publication: LocalTrackPublication): Promise<void> {
    await this.#media?.unpublish(publication);
  }

  /** Whether one may publish this; true while it is not known. */
  mayPublish(publication: LocalTrackPublication): boolean {
    return this.#membership === null || mayPublish(this.#membership.grants, publication);
  }

  /** Whether the room does not know yet what was last said of an own track. */
  isUnderWay(track: TrackId): boolean {
    return this.#unconfirmed.has(track);
  }

  /** Tracks that were unmuted although a moderator holds them: what was said is taken back. */
  takeBackUnmutes(): TrackId[] {
    const tracks = this.#unconfirmed.unmuted();
    for (const track of tracks) this.#unconfirmed.forget(track);
    return tracks;
  }

  /** Moderates. */
  moderate(action: ModerationAction): Promise<ModerationOutcome> {
    const closed = new RoundtableError("sdk/closed", "The room is not connected.");
    return (this.#isEntered ? this.#signal?.moderate(action) : undefined) ?? Promise.reject(closed);
  }

  /** Calls somebody into the room. */
  call(to: string, timeoutS: number | undefined): Promise<Call> {
    const closed = new RoundtableError("sdk/closed", "The room is not connected.");
    return (this.#isEntered ? this.#signal?.call(to, timeoutS) : undefined) ?? Promise.reject(closed);
  }

  /** Accepts, declines or cancels a call. */
  answerCall(call: string, answer: CallAnswer): Promise<Call> {
    const closed = new RoundtableError("sdk/closed", "The room is not connected.");
    return (this.#isEntered ? this.#signal?.answerCall(call, answer) : undefined) ?? Promise.reject(closed);
  }

  /** Changes what others see of this member. */
  update(change: MemberChange): Promise<MemberInfo> {
    const closed = new RoundtableError("sdk/closed", "The room is not connected.");
    return (this.#isEntered ? this.#signal?.update(change) : undefined) ?? Promise.reject(closed);
  }

  /** Tells the server whether a track is muted; before it has an id, the answer's arrival does. */
  mute({ id, muted }: LocalTrackPublication): void {
    if (id === null) return;
    this.#unconfirmed.mute(id, muted);
    this.send({ type: "mute", track: id, muted });
  }

  async replace(publication: LocalTrackPublication): Promise<void> {
    await this.#media?.replace(publication);
  }

  /** What the server measured of this membership. */
  serverStats(): Promise<MemberStats> {
    const closed = new RoundtableError("sdk/closed", "The room is not connected.");
    return (this.#isEntered ? this.#signal?.stats() : undefined) ?? Promise.reject(closed);
  }

  /** The track of a receiving m-line. */
  track(mid: string): MediaStreamTrack | undefined {
    return this.#media?.track(mid);
  }

  /** The network changed: the socket is probed, and the media gets another path. */
  handleNetworkChange(change: NetworkChange): void {
    this.#signal?.probe();
    if (change === "online" || change === "changed") (this.#media ?? this.#between)?.restartIce();
  }

  /** Leaves; nothing follows. */
  close(): void {
    this.#isClosed = true;
    this.#isEntered = false;
    this.#signal?.close(true);
    this.#signal = null;
    this.#closeMedia();
    this.#closeBetween();
  }

  /** Leaves, as {@link close} does, and gives the peer connection that the server keeps for another room, if there is one. */
  release(): Media | null {
    const media = this.#between;
    this.#between = null;
    this.close();
    return media;
  }

  #handleSignal(message: ServerMessage): void {
    if (message.type === "welcome") this.#handleWelcome(message);
    else if (message.type === "resumed") this.#handleResumed(message);
    else this.#handleMessage(message);
  }

  #handleWelcome(welcome: Welcome): void {
    const { grants, iceServers, resume, state } = welcome;
    if (welcome.media !== true) this.#closeBetween();
    this.#closeMedia();
    this.#unconfirmed.clear();
    const heard = new Heard(state.seq);
    const membership = { welcome, ticket: resume, epoch: state.epoch, heard, grants, iceServers };
    this.#membership = membership;
    this.#isEntered = true;
    this.#handlers.onWelcome(welcome);
    // Whoever was told may have left.
    if (this.#isClosed) return;
    const kept = this.#between;
    this.#between = null;
    if (kept?.isAlive === true) {
      void this.#connect(membership, () => this.#goOnWith(kept));
      return;
    }
    // The server has it, and learns by the offer of another that it is broken.
    this.#former = kept;
    void this.#connect(membership, () => this.#createMedia(membership, kept !== null));
  }

  #handleResumed(resumed: Resumed): void {
    const membership = this.#membership;
    if (membership === null) return;
    const { state, grants, iceServers, media: isKept, slots } = resumed;
    if (state !== undefined) {
      membership.epoch = state.epoch;
      membership.heard = new Heard(state.seq);
    }
    membership.grants = grants;
    membership.iceServers = iceServers;
    this.#isEntered = true;
    this.#handlers.onResumed(resumed);
    for (const message of this.#unconfirmed.messages()) this.send(message);
    const media = this.#media;
    // The server may not have got the first offer.
    if (media?.isAlive === true && (isKept || !media.isAnswered)) {
      this.#handlers.onMessage({ type: "slots", changes: slots });
      media.resume();
      if (media.isReady) this.#settle();
      return;
    }
    this.#mayMissChat = isKept;
    void this.#connect(membership, () => this.#createMedia(membership, true));
  }

  /** Makes the first offer of the peer connection that `take` gives. */
  async #connect(membership: Membership, take: () => Media): Promise<void> {
    let media: Media | null = null;
    try {
      media = take();
      const { seats, voiceSlots } = membership.welcome;
      const all = [...this.#options.publications()];
      const publications = all.filter((publication) => mayPublish(membership.grants, publication));
      await media.begin({ publications, seats, voiceSlots });
    } catch (error) {
      // Whatever ended it before the answer has been told already.
      if (media === null || (media === this.#media && media.isAlive)) {
        media?.giveUp();
        this.#lose(toRoundtableError(error, "sdk/unsupported"));
      }
      return;
    }
    if (media !== this.#media || !media.isAlive || !this.#isEntered) return;
    // From now on nothing more goes into the broken one: whoever comes back now misses nothing.
    if (this.#mayMissChat) this.open();
    else this.#settle();
  }

  /** Both ends have the same socket and the same peer connection. */
  #settle(): void {
    this.#mayMissChat = false;
    this.#former?.close();
    this.#former = null;
    this.#handlers.onReady();
  }

  /** Makes a peer connection; `fresh` in place of one before, if this member had one. */
  #createMedia({ iceServers }: Membership, fresh: boolean): Media {
    const before = this.#media;
    const wasAlive = before?.isAlive === true;
    before?.giveUp();
    // One that never stood has nobody to tell of its end.
    if (before?.isAnswered === true) this.#former = before;
    else before?.close();
    const configuration = { iceServers, ...this.#options.configuration };
    const media = new Media(this.#platform, { configuration, fresh }, this.#mediaHost);
    this.#setMedia(media);
    if (wasAlive) this.#handlers.onChatLost();
    return media;
  }

  /** Takes the peer connection of the room before. */
  #goOnWith(kept: Media): Media {
    kept.enter(this.#mediaHost);
    this.#setMedia(kept);
    return kept;
  }

  #setMedia(media: Media): void {
    this.#media = media;
    this.#mediaSince = this.#platform.clock.now();
    this.#handlers.onMedia();
  }

  #handleMessage(message: ServerMessage): void {
    if (this.#isClosed) return;
    switch (message.type) {
      case "event":
        if (this.#membership?.heard.note(message.event.seq) === false) return;
        this.#unconfirmed.handleEvent(message.event);
        break;
      case "chat": {
        const isOwn = message.message.member === this.#membership?.welcome.member.id;
        const nonce = message.nonce ?? (isOwn ? message.message.nonce : undefined);
        if (nonce !== undefined) this.#chatBySocket.delete(nonce);
        const isNews = this.#membership?.heard.note(message.message.seq) ?? true;
        // One that was sent again is acknowledged again.
        if (!isNews && nonce === undefined) return;
        break;
      }
      case "privateChat":
        if (message.nonce !== undefined) this.#chatBySocket.delete(message.nonce);
        break;
      case "error":
        if (message.id !== undefined) this.#chatBySocket.delete(message.id);
        break;
      case "data": {
        const { topic, from, id, n, payload, lossy } = message;
        const stamp = { topic, from, ...(id === undefined ? {} : { id }), ...(n === undefined ? {} : { n }) };
        this.#handleData(stamp, fromBase64(payload), lossy === true);
        return;
      }
      case "grants":
        if (this.#membership !== null) this.#membership.grants = message.grants;
        break;
      case "growSeats":
        this.#media?.handleGrowth(message.seats);
        break;
      case "layers":
        this.#media?.handleLayers(message.track, message.encodings);
        break;
      case "move":
        if (message.media === true) this.#handMediaOver();
        break;
      case "mediaLost":
        // Before the answer it is the one before that is meant.
        if (this.#media?.isAnswered === true) {
          this.#loseMedia(this.#media, new RoundtableError(message.code, message.message));
        }
        return;
    }
    this.#handlers.onMessage(message);
  }

  /** The server has taken the peer connection out of this room, and keeps it for the next. */
  #handMediaOver(): void {
    const media = this.#media;
    // One that was never answered is not the one that the server has.
    if (media?.isAlive !== true || !media.isAnswered) return;
    media.leave();
    this.#media = null;
    this.#between = media;
    this.#handlers.onMedia();
  }

  #handleData(stamp: DataStamp, payload: Uint8Array, lossy: boolean): void {
    if (!this.#isClosed) this.#handlers.onData(stamp, payload, lossy);
  }

  #unpublish(track: string): void {
    this.#unconfirmed.unpublish(track);
    this.send({ type: "unpublish", tracks: [track] });
  }

  #loseMedia(media: Media | null, error: RoundtableError): void {
    if (media === null || media !== this.#media || !media.isAlive) return;
    media.giveUp();
    this.#handlers.onChatLost();
    // Without a socket the way back has begun already.
    if (this.#isEntered) this.#lose(error);
  }

  #lose(error: RoundtableError): void {
    this.#dropSocket();
    if (this.#membership?.ticket === undefined) this.#closeMedia();
    this.#handlers.onLost(error);
  }

  #dropSocket(): void {
    this.#isEntered = false;
    this.#signal?.close(false);
    this.#signal = null;
    this.#media?.hold();
    if (this.#chatBySocket.size === 0) return;
    this.#chatBySocket.clear();
    this.#handlers.onChatLost();
  }

  #closeBetween(): void {
    this.#between?.close();
    this.#between = null;
  }

  #closeMedia(): void {
    const hadMedia = this.#media !== null;
    this.#media?.close();
    this.#former?.close();
    this.#media = null;
    this.#former = null;
    this.#mayMissChat = false;
    if (hadMedia) this.#handlers.onMedia();
  }
}

function mayPublish({ publish, sources }: Grants, { source }: LocalTrackPublication): boolean {
  return publish && (sources?.includes(source) ?? true);
}
