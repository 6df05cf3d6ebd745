// The façade: a room as an application sees it.
import { type CallDirection, CallLog, type RingingCall } from "./calls/call_log.ts";
import { Chat, type SendChatOptions } from "./chat.ts";
import { ChatPages } from "./chat_pages.ts";
import type { DataMessage, PublishDataOptions } from "./data/hub.ts";
import type { OutgoingStream } from "./data/outgoing.ts";
import type { Presence } from "./data/presence.ts";
import { RoomData } from "./data/room_data.ts";
import type { RpcHandler, RpcRequest } from "./data/rpc.ts";
import type { StreamOptions } from "./data/streams.ts";
import { Emitter } from "./emitter.ts";
import { RoundtableError, type RoundtableErrorCode } from "./errors.ts";
import { MAX_SEATS } from "./limits.ts";
import { LocalParticipant } from "./local.ts";
import type { Media } from "./media.ts";
import { fetchMembers, type PageWish } from "./members.ts";
import { Moderation, type ModerationChange } from "./moderation.ts";
import { browserPlatform, type NetworkChange, type Platform, type TimerHandle } from "./platform.ts";
import type {
  Call,
  CallAnswer,
  Event,
  Grants,
  Knock,
  MemberId,
  MemberInfo,
  MemberStats,
  MessageId,
  ModerationAction,
  ModerationOutcome,
  Resumed,
  Role,
  RoomId,
  RoomSettings,
  RosterPage,
  ServerMessage,
  TrackId,
  Welcome,
} from "./protocol.ts";
import type { LocalTrackPublication } from "./publication.ts";
import { Backoff, type ReconnectPolicy } from "./reconnect.ts";
import type { RemoteParticipant, RemoteTrackPublication } from "./remote.ts";
import type { RoomEvents } from "./room_events.ts";
import { Roster, type RosterChange } from "./roster.ts";
import { Session } from "./session.ts";
import { type Transport, Transports } from "./signal/transports.ts";
import { type ConnectionStats, collectStats } from "./stats.ts";
import { Subscriptions } from "./subscription.ts";
import { SAY_AGAIN_MS, Views, type ViewWish } from "./views.ts";

/** Where a room stands. */
export type RoomPhase = "disconnected" | "connecting" | "connected" | "reconnecting";

/** A connection that stood for this long was a good one: the next loss begins with the first attempt again. */
export const STEADY_MS = 10_000;
/** Most wishes in one message to the server. */
const MAX_SUBSCRIBE_CHANGES = 512;

/** Settings of a room; all have a default. */
export interface RoomOptions {
  /** Added to the configuration of the peer connection, such as `iceTransportPolicy: "relay"`. */
  configuration?: RTCConfiguration;
  /** Most people seen and heard at once; at most, and normally, {@link MAX_SEATS}. */
  maxSeats?: number;
  reconnectPolicy?: ReconnectPolicy;
  /** The surroundings; the browser unless a test gives another. */
  platform?: Platform;
}

interface Attempt {
  resolve(): void;
  reject(error: RoundtableError): void;
}

/** A room: connect, publish through {@link Room.localParticipant}, listen to events. */
export class Room extends Emitter<RoomEvents> {
  readonly localParticipant: LocalParticipant;
  readonly chat: Chat;
  /** Messages by topics, questions, streams, presence. */
  readonly data: RoomData;
  readonly #platform: Platform;
  readonly #policy: ReconnectPolicy;
  readonly #options: RoomOptions;
  readonly #roster: Roster;
  readonly #subscriptions: Subscriptions;
  readonly #views: Views;
  readonly #transports: Transports;
  readonly #moderation = new Moderation();
  readonly #calls: CallLog;
  readonly #chatPages: ChatPages;
  #session: Session | null = null;
  #entry: { url: string; name: string; token: string | undefined } | null = null;
  /** Where a moderator sent one, until the present connection ends. */
  #destination: { room: RoomId; ticket: string } | null = null;
  #phase: RoomPhase = "disconnected";
  #first: Attempt | null = null;
  #attempt = 0;
  #readyAt = 0;
  #timer: TimerHandle = null;
  #offNetwork: () => void = () => {};
  /** Tracks of which the server was told whether they are wanted, while they are there. */
  readonly #wished = new Set<TrackId>();
  #id = 0;

  constructor(options: RoomOptions = {}) {
    super();
    this.#options = options;
    this.#platform = options.platform ?? browserPlatform();
    this.#policy = options.reconnectPolicy ?? new Backoff();
    this.#transports = new Transports(this.#platform);
    this.#roster = new Roster(this.#platform.clock);
    this.#subscriptions = new Subscriptions(this.#roster, {
      onSubscribed: (track, publication) =>
        this.emit("trackSubscribed", track, publication, this.#roster.participants.get(publication.member)),
      onUnsubscribed: (track, publication) => this.emit("trackUnsubscribed", track, publication),
    });
    this.#views = new Views(
      this.#platform.clock,
      (changes) => this.#session?.send({ type: "view", changes }) ?? false,
    );
    this.chat = new Chat(this.#platform.clock, () => this.#nextId(), {
      isOwn: (member) => this.#roster.isOwn(member),
      nameOf: (member) => this.#nameOf(member),
    });
    this.chat.on("message", (message) => this.emit("chatMessage", message));
    this.chat.on("privateMessage", (message) => this.emit("privateChatMessage", message));
    this.chat.on("changed", () => this.emit("chatChanged"));
    this.#calls = new CallLog(this.#platform.clock, {
      onCall: (event, direction) => this.emit("call", event, direction),
      onLost: (call, direction) => this.emit("callLost", call, direction),
    });
    this.#chatPages = new ChatPages(this.chat, () => this.#nextId());
    this.data = new RoomData(this.#platform.clock, {
      sendData: (header, payload, lossy) => this.#session?.sendData(header, payload, lossy) ?? false,
      send: (message) => this.#session?.send(message) ?? false,
      nextId: () => this.#nextId(),
    });
    this.data.hub.on("data", (message) => this.emit("data", message));
    this.localParticipant = new LocalParticipant(this.#platform, {
      publish: async (publication) => this.#session?.publish(publication),
      unpublish: async (publication) => this.#session?.unpublish(publication),
      replace: async (publication) => this.#session?.replace(publication),
      mute: (publication) => this.#session?.mute(publication),
      drop: async (publication) => this.#session?.drop(publication),
      update: async (change) => {
        if (this.#session === null) throw new RoundtableError("sdk/closed", "The room is not connected.");
        await this.#session.update(change);
      },
      changed: () => this.emit("localTracksChanged"),
    });
  }

  get phase(): RoomPhase {
    return this.#phase;
  }

  /**
   * What carries the signalling: a WebSocket, or requests with (`sse`) or without (`poll`) a stream of events where none gets
   * through. Null before anything did.
   */
  get transport(): Transport | null {
    return this.#transports.current;
  }

  /** What one may do; null before entering. Who has `admin` moderates. */
  get grants(): Grants | null {
    return this.#moderation.grants;
  }

  /** How the room is set up; null if nobody ever did. */
  get settings(): RoomSettings | null {
    return this.#moderation.settings;
  }

  /** Who waits to be let in, by the id of the knock; for moderators. */
  get knocks(): ReadonlyMap<string, Knock> {
    return this.#moderation.knocks;
  }

  /** The roles of members that changed while one was here. */
  get roles(): ReadonlyMap<MemberId, Role> {
    return this.#moderation.roles;
  }

  /** Calls that ring, to oneself and from oneself, by the id of the call. */
  get calls(): ReadonlyMap<string, RingingCall> {
    return this.#calls.ringing;
  }

  get remoteParticipants(): ReadonlyMap<MemberId, RemoteParticipant> {
    return this.#roster.participants;
  }

  /**
   * How many others are here who are not among {@link Room.remoteParticipants}. A room of more than 200 people lists those
   * only who publish or did something lately, and counts the rest; {@link Room.listMembers} names them.
   */
  get viewers(): number {
    return this.#roster.viewers;
  }

  /** Everybody in the room, oneself included. */
  get participantCount(): number {
    return this.#roster.participants.size + this.#roster.viewers + 1;
  }

  get activeSpeakers(): readonly MemberId[] {
    return this.#roster.speakers;
  }

  /** Who leads the conversation, perhaps oneself; null before anybody has spoken. */
  get dominantSpeaker(): MemberId | null {
    return this.#roster.dominant;
  }

  /**
   * Enters a room. `url` is that of the signalling socket (`wss://host/ws?room=name`; see {@link signalUrl}).
   * Resolves when sound and pictures are agreed upon; rejects with a coded error. Afterwards the room reconnects by itself.
   */
  connect(url: string, options: { name: string; token?: string }): Promise<void> {
    if (this.#phase !== "disconnected") {
      return Promise.reject(new RoundtableError("sdk/closed", "The room is connected already."));
    }
    this.#entry = { url, name: options.name, token: options.token };
    this.#phase = "connecting";
    this.#attempt = 0;
    this.#offNetwork = this.#platform.onNetworkChange((change) => this.#handleNetworkChange(change));
    this.#session = this.#createSession(this.#entry, null);
    return new Promise((resolve, reject) => {
      this.#first = { resolve, reject };
      this.#session?.open();
    });
  }

  /** Leaves. Devices are stopped unless `keepDevices`. */
  disconnect(options: { keepDevices?: boolean } = {}): void {
    if (this.#phase === "disconnected") return;
    if (options.keepDevices !== true) this.localParticipant.stop();
    this.#finish(undefined);
  }

  /** Says whether a track is wanted. The server sends nothing of one that is not. */
  setSubscribed(publication: RemoteTrackPublication, wanted: boolean): void {
    publication.handleWanted(wanted);
    this.#wished.add(publication.id);
    this.#session?.send({ type: "subscribe", changes: [{ track: publication.id, wanted }] });
  }

  /**
   * Lets the server know how an element shows a track: how large, and whether it is on the screen. No more than that is
   * sent. Call what is returned when the element shows it no more.
   */
  watch(publication: RemoteTrackPublication, element: Element): () => void {
    const watcher = {};
    const stop = this.#platform.watchPlace(element, (place) =>
      this.#views.handlePlace(publication.id, watcher, place),
    );
    return () => {
      stop();
      if (this.#roster.publication(publication.id) === publication) {
        this.#views.handlePlace(publication.id, watcher, null);
      } else {
        // The track is gone, and nothing is to be said of it.
        this.#views.forget(publication.id);
      }
    };
  }

  /** Wishes something of how a track is sent, such as to hold it on stage. */
  setView(publication: RemoteTrackPublication, wish: ViewWish): void {
    this.#views.handleWish(publication.id, wish);
  }

  /** Does what moderators do; rejects with the server's word, such as `moderation/forbidden`. */
  moderate(action: ModerationAction): Promise<ModerationOutcome> {
    const closed = new RoundtableError("sdk/closed", "The room is not connected.");
    return this.#session?.moderate(action) ?? Promise.reject(closed);
  }

  /**
   * Calls somebody into this room: it rings wherever they listen, 30 s or so many seconds (1 to 120). `to` is an identity: the
   * `sub` of their token, or where nobody needs one, the name that others see. Resolves when it rings; what becomes of it is
   * told by `call`. Rejects with the server's word, such as `call/too-many`.
   */
  call(to: string, options: { timeoutS?: number } = {}): Promise<Call> {
    const closed = new RoundtableError("sdk/closed", "The room is not connected.");
    return this.#session?.call(to, options.timeoutS) ?? Promise.reject(closed);
  }

  /**
   * Accepts or declines a call to oneself, or cancels one's own. Of several answers the first counts, `call/unknown` comes for
   * others. Who accepts then enters `call.room`.
   */
  answerCall(call: string, answer: CallAnswer): Promise<Call> {
    const closed = new RoundtableError("sdk/closed", "The room is not connected.");
    return this.#session?.answerCall(call, answer) ?? Promise.reject(closed);
  }

  /** What the server measured: what it sends, and what it could. */
  serverStats(): Promise<MemberStats> {
    const closed = new RoundtableError("sdk/closed", "The room is not connected.");
    return this.#session?.serverStats() ?? Promise.reject(closed);
  }

  /** Asks the server who is here, page by page in the order of joining, oneself included. */
  listMembers(wish: PageWish = {}): Promise<RosterPage> {
    const entry = this.#entry;
    if (entry === null) return Promise.reject(new RoundtableError("sdk/closed", "No room is known."));
    return fetchMembers((page, init) => this.#platform.fetch(page, init), entry.url, wish, entry.token);
  }

  /** Writes to everybody, or with `to` to a few alone; see {@link Chat.send}. */
  sendChatMessage(text: string, options?: SendChatOptions): number {
    return this.chat.send(text, options);
  }

  /**
   * Puts messages from before those that are known into {@link Room.chat}; resolves with whether there are more. One page
   * is under way at a time.
   */
  loadEarlierChat(limit?: number): Promise<boolean> {
    return this.#chatPages.load((message) => this.#session?.send(message) ?? false, limit);
  }

  /** Changes the text of an own message, or as a moderator of any. The chat shows it once it is done; else `warning` follows. */
  editChatMessage(message: MessageId, text: string): void {
    this.#session?.send({ type: "editChat", id: this.#nextId(), message, text });
  }

  /** Deletes an own message, or as a moderator any. */
  deleteChatMessage(message: MessageId): void {
    this.#session?.send({ type: "deleteChat", id: this.#nextId(), message });
  }

  /** Reacts to a message, or takes that back. */
  reactToChatMessage(message: MessageId, reaction: string, on = true): void {
    this.#session?.send({ type: "react", id: this.#nextId(), message, reaction, on });
  }

  /** Lets others know that one writes; to be said again every few seconds. */
  setTyping(typing: boolean): void {
    this.#session?.send({ type: "typing", typing });
  }

  /** Publishes data to a topic; see {@link DataHub.publish}. */
  publishData(topic: string, payload: Uint8Array, options?: PublishDataOptions): Promise<void> {
    return this.data.hub.publish(topic, payload, options);
  }

  /** Calls `handler` with data of a pattern of topics; returns the function that ends it. */
  subscribeTopic(pattern: string, handler: (message: DataMessage) => void): () => void {
    return this.data.hub.subscribe(pattern, handler);
  }

  /** Answers questions of others; see {@link Rpc.register}. */
  registerRpcMethod(method: string, handler: RpcHandler): () => void {
    return this.data.rpc.register(method, handler);
  }

  /** Asks a member; see {@link Rpc.perform}. */
  performRpc(request: RpcRequest): Promise<string> {
    return this.data.rpc.perform(request);
  }

  /** What members show of themselves at this moment. */
  get presence(): Presence {
    return this.data.presence;
  }

  /** Sends bytes or text that may be long; see {@link Streams.send}. */
  sendStream(
    source: string | Uint8Array | AsyncIterable<Uint8Array>,
    options: StreamOptions,
  ): OutgoingStream {
    return this.data.streams.send(source, options);
  }

  /** Sends a file; see {@link Streams.sendFile}. */
  sendFile(file: Blob & { readonly name?: string }, options: StreamOptions): OutgoingStream {
    return this.data.streams.sendFile(file, options);
  }

  /** What the browser measured; null without a connection. */
  async stats(): Promise<ConnectionStats | null> {
    const connection = this.#session?.connection ?? null;
    return connection === null ? null : collectStats(connection, this.#subscriptions.owners);
  }

  /** The connection under it, for those who know what they do. It may be another after reconnecting. */
  get peerConnection(): RTCPeerConnection | null {
    return this.#session?.connection ?? null;
  }

  #nextId(): number {
    this.#id += 1;
    return this.#id;
  }

  /** As the server has it: who has proven to be somebody goes by that, others by their name or their id. */
  #directionOf({ from, to }: Call): CallDirection {
    const { identity, id, name } = this.localParticipant;
    if (identity !== undefined) return to === identity ? "incoming" : "outgoing";
    if (from === id) return "outgoing";
    return to === id || to === name ? "incoming" : "outgoing";
  }

  #nameOf(member: MemberId): string | null {
    if (this.#roster.isOwn(member)) return this.localParticipant.name;
    return this.#roster.participants.get(member)?.name ?? null;
  }

  /** `media` is the peer connection that the room before gave, if any. */
  #createSession(
    entry: { url: string; name: string; token: string | undefined },
    media: Media | null,
  ): Session {
    const options = {
      ...entry,
      // Under which name one comes back, should the server not know one any more.
      name: () => this.#entry?.name ?? entry.name,
      configuration: this.#options.configuration ?? {},
      maxSeats: this.#options.maxSeats ?? MAX_SEATS,
      transports: this.#transports,
      publications: () => this.localParticipant.publications.values(),
      media,
    };
    const session: Session = new Session(this.#platform, () => this.#nextId(), options, {
      onWelcome: (welcome) => this.#handleWelcome(welcome),
      onResumed: (resumed) => this.#handleResumed(resumed),
      onMedia: () => this.#subscriptions.reset((mid) => session.track(mid)),
      onMessage: (message) => this.#handleMessage(message),
      onReady: () => this.#handleReady(),
      onData: (stamp, payload, lossy) => this.data.handleData(stamp, payload, lossy),
      onDataWritable: () => this.data.hub.flush(),
      onWritable: () => this.chat.flush(),
      onChatLost: () => this.chat.handleLost(),
      onLost: (error) => this.#handleLost(error),
    });
    return session;
  }

  #handleWelcome(welcome: Welcome): void {
    this.#moderation.handleWelcome(welcome.grants, welcome.state.settings);
    // What was lost on the way may be in the history, which is not here yet.
    this.chat.setTransmit(null);
    this.localParticipant.handleWelcome(welcome.member);
    this.#calls.handleReturn();
    this.chat.handleWelcome(welcome.state.epoch);
    this.#tell(this.#roster.handleState(welcome.member.id, welcome.state));
    this.#views.sayAgain();
    this.#sayWanted((publication) => !publication.wanted);
    this.#handleGrants(welcome.grants);
    if (welcome.state.settings !== undefined) this.emit("roomUpdated", welcome.state.settings);
  }

  /** The server has what it was told; what was said last may be lost, and is said again. */
  #handleResumed({ member, state, grants }: Resumed): void {
    this.#handleMember(member);
    this.#calls.handleReturn();
    this.#handleGrants(grants);
    if (grants.admin) void this.#askWhoKnocks();
    if (state !== undefined) {
      this.#tellModeration(this.#moderation.handleSettings(state.settings));
      this.chat.handleEpoch(state.epoch);
      this.#tell(this.#roster.handleState(member.id, state));
    }
    this.#views.repeat();
    this.#sayWanted((publication) => this.#wished.has(publication.id));
  }

  #sayWanted(which: (publication: RemoteTrackPublication) => boolean): void {
    const changes = [...this.#roster.publications()]
      .filter(which)
      .map(({ id, wanted }) => ({ track: id, wanted }));
    for (let from = 0; from < changes.length; from += MAX_SUBSCRIBE_CHANGES) {
      this.#session?.send({ type: "subscribe", changes: changes.slice(from, from + MAX_SUBSCRIBE_CHANGES) });
    }
  }

  #handleReady(): void {
    this.#openChat();
    const own = this.localParticipant.id;
    if (own !== null) this.data.hub.handleReady(own);
    const first = this.#first;
    this.#first = null;
    if (this.#phase === "connected") return;
    this.#phase = "connected";
    this.#readyAt = this.#platform.clock.now();
    this.emit(first === null ? "reconnected" : "connected");
    first?.resolve();
  }

  #handleMessage(message: ServerMessage): void {
    switch (message.type) {
      case "event":
        this.#tell(this.#roster.handleEvent(message.event));
        this.#handleOwn(message.event);
        this.chat.handleEvent(message.event);
        this.#tellModeration(this.#moderation.handleEvent(message.event));
        break;
      case "grants":
        this.#handleGrants(message.grants);
        break;
      case "updated":
        this.#handleMember(message.member);
        break;
      case "knock":
      case "knockEnded":
        this.#tellModeration(this.#moderation.handleMessage(message));
        break;
      case "typing":
        this.emit("typing", message.member, message.typing);
        break;
      case "notice": {
        const { from, text } = message;
        this.emit("notice", { text, ...(from === undefined ? {} : { from }) });
        break;
      }
      case "callEvent":
        this.#calls.handleEvent(message.event, this.#directionOf(message.event.call));
        break;
      case "move":
        this.#destination = { room: message.room, ticket: message.ticket };
        break;
      case "waiting":
        this.emit("waiting");
        break;
      case "slots":
        this.#subscriptions.handleChanges(message.changes);
        break;
      case "chat":
        this.chat.handleMessage(message.message, message.nonce);
        break;
      case "privateChat":
        this.chat.handlePrivate(message.message, message.nonce);
        break;
      case "chatHistory":
        this.chat.handleHistory(message.messages);
        if (message.complete) this.#openChat();
        break;
      case "chatPage":
        this.#chatPages.handlePage(message);
        break;
      case "doc":
        this.data.handleDoc(message);
        break;
      case "error":
        if (message.id !== undefined) this.data.handleRefused(message.id, message.code, message.message);
        if (message.code === "view/rate") {
          this.#views.sayAgain(SAY_AGAIN_MS);
          break;
        }
        if (message.id !== undefined && this.chat.handleError(message.id, message.code)) break;
        if (
          message.id !== undefined &&
          this.#chatPages.handleError(message.id, message.code, message.message)
        )
          break;
        // Both ended the track, or it was said again: there is nothing to be done.
        if (message.code === "track/unknown") break;
        if (message.code === "track/muted-by-host") {
          const tracks = this.#session?.takeBackUnmutes() ?? [];
          for (const track of tracks) this.localParticipant.handleMuted(track, true);
        }
        if (!message.fatal) this.emit("warning", new RoundtableError(message.code, message.message));
        break;
    }
  }

  /** An own track that the server muted, or ended, or of which a moderator lifted the mute. */
  #handleOwn(event: Event): void {
    const local = this.localParticipant;
    if (event.type === "unpublished" && event.member === local.id) {
      this.#endPublishing(({ id }) => id === event.track);
    }
    if (event.type !== "muted" || event.member !== local.id) return;
    if (!event.muted) local.handleUnmuted(event.track);
    // Without a code it is the echo of an own word that was taken back since, or a moderator's request.
    else if (event.code !== undefined || this.#session?.isUnderWay(event.track) === false)
      local.handleMuted(event.track, event.code === "track/muted-by-host");
  }

  /** What one may not publish any more is not sent, and its light goes out. */
  #handleGrants(grants: Grants): void {
    this.#moderation.handleGrants(grants);
    this.#endPublishing((publication) => this.#session?.mayPublish(publication) === false);
    this.emit("grantsChanged", grants);
  }

  /** What others see of oneself. */
  #handleMember(member: MemberInfo): void {
    if (!this.localParticipant.handleMember(member)) return;
    if (this.#entry !== null) this.#entry = { ...this.#entry, name: member.name };
    this.emit("participantUpdated", this.localParticipant);
  }

  #endPublishing(isOver: (publication: LocalTrackPublication) => boolean): void {
    const sources = this.localParticipant.handleEnded(isOver);
    if (sources.length > 0) this.emit("publishingEnded", sources);
  }

  /** Who knocked while one was away is not told again. */
  async #askWhoKnocks(): Promise<void> {
    try {
      const { knocks } = await this.moderate({ type: "listKnocks" });
      this.#tellModeration(this.#moderation.handleKnocks(knocks ?? []));
    } catch {
      // The next loss, or the next knock, mends it.
    }
  }

  #tellModeration(changes: readonly ModerationChange[]): void {
    for (const change of changes) {
      switch (change.type) {
        case "knock":
          this.emit("knock", change.knock);
          break;
        case "knockEnded":
          this.emit("knockEnded", change.knock);
          break;
        case "settings":
          this.emit("roomUpdated", change.settings);
          break;
        case "role":
          this.emit("roleChanged", change.member, change.role);
          break;
      }
    }
  }

  /** What was lost on the way is in the history by now, so what still waits may be sent. */
  #openChat(): void {
    this.chat.setTransmit((message) => this.#session?.sendChat(message) ?? false);
  }

  #tell(changes: readonly RosterChange[]): void {
    for (const change of changes) {
      switch (change.type) {
        case "joined":
          this.data.handleJoined();
          this.emit("participantJoined", change.participant);
          break;
        case "left":
          this.data.handleLeft(change.participant.id);
          this.emit("participantLeft", change.participant);
          break;
        case "listed":
          this.emit("participantListed", change.participant);
          break;
        case "unlisted":
          this.emit("participantUnlisted", change.participant);
          break;
        case "updated":
          this.emit("participantUpdated", change.participant);
          break;
        case "audience":
          this.emit("audienceChanged", change.viewers);
          break;
        case "published":
          this.emit("trackPublished", change.publication, change.participant);
          this.#subscriptions.seat(change.publication);
          break;
        case "unpublished":
          this.#subscriptions.release(change.publication);
          this.#views.forget(change.publication.id);
          this.#wished.delete(change.publication.id);
          this.emit("trackUnpublished", change.publication, change.participant);
          break;
        case "muted":
          this.emit("trackMuted", change.publication, change.participant);
          break;
        case "speaking":
          this.emit("activeSpeakers", change.speakers);
          break;
        case "dominant":
          this.emit("dominantSpeakerChanged", change.member);
          break;
      }
    }
  }

  #handleLost(error: RoundtableError): void {
    this.data.hub.handleLost();
    this.#chatPages.handleLost();
    // Whatever ended the socket then, one is not in the room before any more.
    if (this.#destination !== null) {
      this.#goTo(this.#destination);
      return;
    }
    const first = this.#first;
    if (first !== null) {
      this.#finish(error.code);
      first.reject(error);
      return;
    }
    const { clock } = this.#platform;
    // One that breaks again at once is not tried at once again and again.
    if (this.#phase === "connected" && clock.now() - this.#readyAt >= STEADY_MS) this.#attempt = 0;
    this.#attempt += 1;
    const delay = this.#policy.delay(this.#attempt, error.code, clock.random());
    if (delay === null) {
      this.#finish(error.code);
      return;
    }
    const delayMs = Math.max(delay, error.reconnectAfterMs ?? 0);
    this.#phase = "reconnecting";
    this.#timer = clock.set(() => this.#comeBack(), delayMs);
    this.emit("reconnecting", { attempt: this.#attempt, delayMs, code: error.code });
  }

  /**
   * Enters another room as a moderator wishes, with the same tracks, and with the same peer connection if the server keeps it.
   * The ticket is good once.
   */
  #goTo({ room, ticket }: { room: RoomId; ticket: string }): void {
    if (this.#entry === null) return;
    this.#destination = null;
    const url = new URL(this.#entry.url);
    url.searchParams.set("room", room);
    // The ticket is good for the name that others see, which may be that of a token.
    const name = this.localParticipant.name || this.#entry.name;
    this.#entry = { url: url.href, name, token: ticket };
    const media = this.#session?.release() ?? null;
    this.#wished.clear();
    this.chat.setTransmit(null);
    this.chat.handleMoved();
    this.#chatPages.handleMoved();
    this.#subscriptions.releaseAll();
    this.#session = this.#createSession(this.#entry, media);
    this.#phase = "reconnecting";
    this.#attempt = 0;
    this.emit("moved", room);
    this.#session.open();
  }

  #comeBack(): void {
    this.#platform.clock.clear(this.#timer);
    this.#timer = null;
    this.#session?.open();
  }

  /** With another network, or before somebody's eyes, an attempt is not put off. */
  #handleNetworkChange(change: NetworkChange): void {
    this.#session?.handleNetworkChange(change);
    if (this.#phase !== "reconnecting") return;
    const isUnderWay = this.#timer === null;
    // An attempt over a network that is not there any more leads nowhere.
    if (change === "online" || change === "changed" || (change === "visible" && !isUnderWay))
      this.#comeBack();
  }

  #finish(code: RoundtableErrorCode | undefined): void {
    this.#platform.clock.clear(this.#timer);
    this.#timer = null;
    this.#offNetwork();
    this.data.handleClosed();
    this.#calls.close();
    this.#session?.close();
    this.#session = null;
    this.#wished.clear();
    this.#destination = null;
    this.chat.setTransmit(null);
    this.chat.handleLeft();
    this.#chatPages.handleLost();
    this.#subscriptions.releaseAll();
    this.#phase = "disconnected";
    const first = this.#first;
    this.#first = null;
    if (code === undefined) first?.reject(new RoundtableError("sdk/closed", "The room was left."));
    this.emit("disconnected", code);
  }
}

/**
 * The URL of the signalling socket for a room on a server. `base` is where the server's page lives, with its prefix:
 * `https://example.org/meet/` gives `wss://example.org/meet/ws?room=…`.
 */
export function signalUrl(base: string | URL, room: string): string {
  const url = new URL("ws", base);
  url.protocol = url.protocol === "https:" || url.protocol === "wss:" ? "wss:" : "ws:";
  url.search = new URLSearchParams({ room }).toString();
  return url.href;
}
