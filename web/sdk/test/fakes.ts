// A browser without a browser: a clock that is set by hand, sockets and peer connections that remember.

import type { Compression } from "../src/packing.ts";
import type { Place } from "../src/place.ts";
import type { Clock, NetworkChange, Platform, SocketLike, StreamLike } from "../src/platform.ts";
import type { ClientMessage, Grants, RoomState, ServerMessage, Welcome } from "../src/protocol.ts";
import { Signal } from "../src/signal.ts";

export class FakeClock implements Clock {
  #now = 0;
  #next = 1;
  readonly #timers = new Map<number, { at: number; callback: () => void }>();

  now(): number {
    return this.#now;
  }

  set(callback: () => void, ms: number): number {
    const handle = this.#next++;
    this.#timers.set(handle, { at: this.#now + ms, callback });
    return handle;
  }

  clear(handle: unknown): void {
    this.#timers.delete(handle as number);
  }

  random(): number {
    return 1;
  }

  get pending(): number {
    return this.#timers.size;
  }

  /** Lets time pass; what falls due runs in order. */
  async advance(ms: number): Promise<void> {
    await settle();
    const end = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter(([, t]) => t.at <= end).sort(([, a], [, b]) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due[0]);
      this.#now = due[1].at;
      due[1].callback();
      await settle();
    }
    this.#now = end;
    await settle();
  }
}

/** Lets every promise that can resolve do so. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 30; i += 1) await Promise.resolve();
}

export class FakeSocket implements SocketLike {
  readyState = 0;
  onopen: SocketLike["onopen"] = null;
  onmessage: SocketLike["onmessage"] = null;
  onclose: SocketLike["onclose"] = null;
  onerror: SocketLike["onerror"] = null;
  readonly sent: ClientMessage[] = [];
  closedWith: number | undefined;

  constructor(readonly url: string) {}

  readonly packed: ArrayBuffer[] = [];

  send(data: string | ArrayBuffer): void {
    if (typeof data === "string") this.sent.push(JSON.parse(data) as ClientMessage);
    else this.packed.push(data);
  }

  close(code?: number): void {
    this.readyState = 3;
    this.closedWith = code;
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.({} as Event);
  }

  receive(message: ServerMessage): void {
    this.onmessage?.({ data: JSON.stringify(message) } as MessageEvent);
  }

  drop(code = 1006): void {
    this.readyState = 3;
    this.onclose?.({ code, reason: "" } as CloseEvent);
  }

  of<Type extends ClientMessage["type"]>(type: Type): Extract<ClientMessage, { type: Type }>[] {
    return this.sent.filter((m): m is Extract<ClientMessage, { type: Type }> => m.type === type);
  }
}

export class FakeStream implements StreamLike {
  onmessage: StreamLike["onmessage"] = null;
  onerror: StreamLike["onerror"] = null;
  isClosed = false;
  readonly #listeners = new Map<string, (event: MessageEvent) => void>();

  constructor(readonly url: string) {}

  addEventListener(type: string, listener: (event: MessageEvent) => void): void {
    this.#listeners.set(type, listener);
  }

  close(): void {
    this.isClosed = true;
  }

  receive(number: number, message: ServerMessage): void {
    this.onmessage?.({ data: JSON.stringify(message), lastEventId: `${number}` } as MessageEvent);
  }

  end(code: number, reason: string): void {
    this.#listeners.get("closed")?.({ data: JSON.stringify({ code, reason }) } as MessageEvent);
  }
}

export function fakeTrack(kind: "audio" | "video", id = `${kind}-track`): MediaStreamTrack {
  const target = new EventTarget();
  const track = {
    kind,
    id,
    enabled: true,
    readyState: "live",
    stop: () => {
      track.readyState = "ended";
    },
    getSettings: () => (kind === "video" ? { width: 1280, height: 720 } : {}),
    addEventListener: target.addEventListener.bind(target),
    dispatchEvent: target.dispatchEvent.bind(target),
  };
  return track as unknown as MediaStreamTrack;
}

export class FakeTransceiver {
  mid: string | null = null;
  preferred: RTCRtpCodec[] = [];
  /** As Chromium has it: known, and left out of offers unless asked for. */
  extensions = [
    { uri: "urn:ietf:params:rtp-hdrext:sdes:mid", direction: "sendrecv" },
    { uri: "urn:example:other", direction: "stopped" },
    {
      uri: "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
      direction: "stopped",
    },
  ];
  readonly receiver: { track: MediaStreamTrack };
  readonly sender: {
    track: MediaStreamTrack | null;
    replaceTrack(track: MediaStreamTrack | null): Promise<void>;
    getParameters(): RTCRtpSendParameters;
    setParameters(parameters: RTCRtpSendParameters): Promise<void>;
  };

  getHeaderExtensionsToNegotiate() {
    return this.extensions.map((extension) => ({ ...extension }));
  }

  setHeaderExtensionsToNegotiate(extensions: { uri: string; direction: string }[]) {
    this.extensions = extensions;
  }

  constructor(
    readonly kind: "audio" | "video",
    readonly init: RTCRtpTransceiverInit,
    track: MediaStreamTrack | null,
    serial: number,
  ) {
    this.receiver = { track: fakeTrack(kind, `remote-${serial}`) };
    let parameters: unknown = {
      encodings: (init.sendEncodings ?? [{}]).map((encoding) => ({ active: true, ...encoding })),
    };
    const sender = {
      track,
      replaceTrack: async (next: MediaStreamTrack | null) => {
        sender.track = next;
      },
      getParameters: () => structuredClone(parameters) as RTCRtpSendParameters,
      setParameters: async (next: RTCRtpSendParameters) => {
        parameters = next;
      },
    };
    this.sender = sender;
  }

  setCodecPreferences(codecs: RTCRtpCodec[]): void {
    this.preferred = codecs;
  }
}

export class FakeChannel {
  readyState = "connecting";
  bufferedAmount = 0;
  bufferedAmountLowThreshold = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onbufferedamountlow: (() => void) | null = null;
  readonly sent: ClientMessage[] = [];

  constructor(readonly label: string) {}

  send(data: string): void {
    this.sent.push(JSON.parse(data) as ClientMessage);
  }

  close(): void {
    this.readyState = "closed";
  }

  open(): void {
    this.readyState = "open";
    this.onopen?.();
  }

  receive(message: ServerMessage): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

/** Counts m-lines in the order in which they were made, as browsers do. */
export class FakeConnection {
  readonly transceivers: FakeTransceiver[] = [];
  readonly channels: FakeChannel[] = [];
  /** Transceivers and channels in the order of their m-lines. */
  readonly lines: (FakeTransceiver | FakeChannel)[] = [];
  readonly offers: RTCOfferOptions[] = [];
  signalingState = "stable";
  connectionState = "new";
  localDescription: { sdp: string } | null = null;
  currentRemoteDescription: { sdp: string } | null = null;
  rollbacks = 0;
  closed = false;
  refuse: ((init: RTCRtpTransceiverInit) => boolean) | null = null;
  onconnectionstatechange: (() => void) | null = null;

  constructor(readonly configuration: RTCConfiguration) {}

  addTransceiver(
    what: MediaStreamTrack | "audio" | "video",
    init: RTCRtpTransceiverInit = {},
  ): FakeTransceiver {
    if (this.refuse?.(init)) throw new Error("OperationError");
    const kind = typeof what === "string" ? what : (what.kind as "audio" | "video");
    const track = typeof what === "string" ? null : what;
    const transceiver = new FakeTransceiver(kind, init, track, this.lines.length);
    this.transceivers.push(transceiver);
    this.lines.push(transceiver);
    return transceiver;
  }

  createDataChannel(label: string): FakeChannel {
    const channel = new FakeChannel(label);
    // All channels share one line.
    if (this.channels.length === 0) this.lines.push(channel);
    this.channels.push(channel);
    return channel;
  }

  async createOffer(options: RTCOfferOptions): Promise<{ type: "offer"; sdp: string }> {
    this.offers.push(options);
    const media = this.lines.map((line, mid) =>
      line instanceof FakeTransceiver
        ? `m=${line.kind} 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:${mid}\r\na=${line.init.direction}\r\n`
        : `m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:${mid}\r\n`,
    );
    return { type: "offer", sdp: `v=0\r\n${media.join("")}` };
  }

  async setLocalDescription(description: { type: string; sdp?: string }): Promise<void> {
    if (description.type === "rollback") {
      this.rollbacks += 1;
      this.signalingState = "stable";
      return;
    }
    if (this.signalingState !== "stable") throw new Error("InvalidStateError: glare with oneself");
    this.signalingState = "have-local-offer";
    this.localDescription = { sdp: description.sdp ?? "" };
    for (const [index, line] of this.lines.entries()) {
      if (line instanceof FakeTransceiver) line.mid = String(index);
    }
  }

  async setRemoteDescription(description: { sdp: string }): Promise<void> {
    this.signalingState = "stable";
    this.currentRemoteDescription = description;
  }

  getTransceivers(): FakeTransceiver[] {
    return this.transceivers;
  }

  close(): void {
    this.closed = true;
  }

  become(state: RTCPeerConnectionState): void {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }
}

export const VIDEO_CODECS: RTCRtpCodec[] = [
  { mimeType: "video/AV1", clockRate: 90000, sdpFmtpLine: "level-idx=5;profile=0;tier=0" },
  { mimeType: "video/AV1", clockRate: 90000, sdpFmtpLine: "level-idx=5;profile=1;tier=0" },
  {
    mimeType: "video/H264",
    clockRate: 90000,
    sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
  },
  {
    mimeType: "video/H264",
    clockRate: 90000,
    sdpFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
  },
  { mimeType: "video/rtx", clockRate: 90000 },
  { mimeType: "video/VP9", clockRate: 90000, sdpFmtpLine: "profile-id=2" },
  { mimeType: "video/VP9", clockRate: 90000, sdpFmtpLine: "profile-id=0" },
  { mimeType: "video/VP8", clockRate: 90000 },
  { mimeType: "video/ulpfec", clockRate: 90000 },
];

export class FakePlatform implements Platform {
  readonly clock = new FakeClock();
  readonly sockets: FakeSocket[] = [];
  readonly connections: FakeConnection[] = [];
  mediaDevices: MediaDevices | undefined;
  compression: Compression | undefined;
  changeNetwork: (change: NetworkChange) => void = () => {};
  /** What is watched: call one to tell its place. */
  readonly watched = new Map<Element, (place: Place) => void>();

  /** What is asked for over HTTP, and what comes. */
  readonly asked: string[] = [];
  lastRequest: RequestInit | undefined;
  answer: () => Promise<Response> = () => Promise.reject(new TypeError("no network"));

  fetch(url: string, init?: RequestInit): Promise<Response> {
    this.asked.push(url);
    this.lastRequest = init;
    return this.answer();
  }

  openSocket(url: string): FakeSocket {
    const socket = new FakeSocket(url);
    this.sockets.push(socket);
    return socket;
  }

  readonly streams: FakeStream[] = [];
  endPage: () => void = () => {};

  openStream(url: string): FakeStream {
    const stream = new FakeStream(url);
    this.streams.push(stream);
    return stream;
  }

  onPageEnd(callback: () => void): () => void {
    this.endPage = callback;
    return () => {};
  }

  createConnection(configuration: RTCConfiguration): RTCPeerConnection {
    const connection = new FakeConnection(configuration);
    this.connections.push(connection);
    return connection as unknown as RTCPeerConnection;
  }

  receivableCodecs(kind: "audio" | "video"): RTCRtpCodec[] {
    return kind === "video" ? VIDEO_CODECS : [{ mimeType: "audio/opus", clockRate: 48000, channels: 2 }];
  }

  watchPlace(element: Element, callback: (place: Place) => void): () => void {
    this.watched.set(element, callback);
    return () => this.watched.delete(element);
  }

  onNetworkChange(callback: (change: NetworkChange) => void): () => void {
    this.changeNetwork = callback;
    return () => {};
  }

  get socket(): FakeSocket {
    return at(this.sockets, -1);
  }

  get connection(): FakeConnection {
    return at(this.connections, -1);
  }
}

/** The element of a list that must be there. */
export function at<Item>(list: readonly Item[], index: number): Item {
  const item = list.at(index);
  if (item === undefined) throw new Error(`no element ${index} of ${list.length}`);
  return item;
}

export function roomState(patch: Partial<RoomState> = {}): RoomState {
  const nobody = { members: [], viewers: 0, tracks: [], speaking: [], dominantSpeaker: null };
  return { room: "r", epoch: 1, seq: 0, ...nobody, closed: false, ...patch };
}

/** What a guest of an open room may. */
export const GRANTS: Grants = {
  publish: true,
  subscribe: true,
  chat: true,
  data: true,
  admin: false,
  hidden: false,
  recorder: false,
  updateOwnMetadata: false,
  limits: { receive: {}, publish: {} },
};

export function welcome(patch: Partial<Welcome> = {}): ServerMessage {
  return {
    type: "welcome",
    version: 1,
    room: "r",
    member: { id: "me", name: "Me" },
    grants: GRANTS,
    state: roomState({ members: [{ id: "me", name: "Me" }] }),
    iceServers: [],
    seats: 2,
    voiceSlots: 0,
    silenceTimeoutS: 30,
    ...patch,
  };
}

/** Signalling whose socket opens next, with what it says of itself. */
export function openSignal(platform: FakePlatform, hello: Parameters<Signal["open"]>[1] = { name: "Ann" }) {
  let id = 0;
  const signal = new Signal(platform, () => {
    id += 1;
    return id;
  });
  const messages: ServerMessage[] = [];
  const closed: string[] = [];
  signal.on("message", (m) => messages.push(m));
  signal.on("closed", (e) => closed.push(e.code));
  signal.open("ws://test/ws?room=r", hello);
  return { platform, signal, messages, closed, socket: platform.socket };
}

/** Answers the newest offer, naming its tracks `t` and their mid. */
export async function answer(platform: FakePlatform): Promise<void> {
  const offer = at(platform.socket.of("offer"), -1);
  const tracks = offer.tracks.map(({ mid }) => ({ mid, track: `t${mid}` }));
  platform.socket.receive({ type: "answer", id: offer.id, sdp: "answer", tracks });
  await settle();
}

/** Lets the newest socket into the room, as far as the first answer. */
export async function enter(platform: FakePlatform, message: ServerMessage = welcome()): Promise<void> {
  platform.socket.open();
  platform.socket.receive(message);
  platform.socket.receive({ type: "chatHistory", messages: [], complete: true });
  await settle();
  await answer(platform);
}
