// Everything the SDK takes from its surroundings, so that tests can give something else.

import { browserCompression, type Compression } from "./packing.ts";
import { type Place, watchPlace } from "./place.ts";

/** A timer that can be cleared. */
export type TimerHandle = unknown;

/** Time and chance. */
export interface Clock {
  /** Milliseconds that never go back. */
  now(): number;
  /** Runs `callback` once after `ms`. */
  set(callback: () => void, ms: number): TimerHandle;
  /** Takes a timer back. */
  clear(handle: TimerHandle): void;
  /** A number from 0 to below 1. */
  random(): number;
}

/** What happened to the way to the server: it is gone, back or another; or the page is looked at again. */
export type NetworkChange = "offline" | "online" | "changed" | "visible";

/** What the SDK uses of a WebSocket. */
export interface SocketLike {
  readonly readyState: number;
  onopen: ((event: Event) => void) | null;
  onmessage: ((event: MessageEvent) => void) | null;
  onclose: ((event: CloseEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  /** Binary only on a WebSocket. */
  send(data: string | ArrayBuffer): void;
  close(code?: number, reason?: string): void;
}

/** What the SDK uses of an `EventSource`. */
export interface StreamLike {
  onmessage: ((event: MessageEvent) => void) | null;
  onerror: ((event: Event) => void) | null;
  addEventListener(type: string, listener: (event: MessageEvent) => void): void;
  close(): void;
}

/** The surroundings of a room. */
export interface Platform {
  readonly clock: Clock;
  /** Cameras and microphones; absent on insecure pages. */
  readonly mediaDevices: MediaDevices | undefined;
  /** Absent where the browser has none. */
  readonly compression: Compression | undefined;
  /** Opens a WebSocket; its binary frames come as `ArrayBuffer`. */
  openSocket(url: string): SocketLike;
  /** Opens a stream of server-sent events. */
  openStream(url: string): StreamLike;
  fetch(url: string, init?: RequestInit): Promise<Response>;
  createConnection(configuration: RTCConfiguration): RTCPeerConnection;
  /** The codecs this browser can receive. */
  receivableCodecs(kind: "audio" | "video"): RTCRtpCodec[];
  /** Calls back with how much of an element is seen, now and at each change; returns the function that ends it. */
  watchPlace(element: Element, callback: (place: Place) => void): () => void;
  /** Calls back when the network changed under the page, or the page woke up; returns the function that ends it. */
  onNetworkChange(callback: (change: NetworkChange) => void): () => void;
  /** Calls back when the page goes for good; returns the function that ends it. */
  onPageEnd(callback: () => void): () => void;
}

interface NetworkInformation extends EventTarget {
  readonly type?: string;
}

/** The real browser. */
export function browserPlatform(): Platform {
  return {
    clock: {
      now: () => performance.now(),
      set: (callback, ms) => setTimeout(callback, ms),
      clear: (handle) => clearTimeout(handle as number),
      random: () => Math.random(),
    },
    mediaDevices: globalThis.navigator?.mediaDevices,
    compression: browserCompression(),
    openSocket: (url) => {
      const socket = new WebSocket(url);
      socket.binaryType = "arraybuffer";
      return socket;
    },
    openStream: (url) => new EventSource(url),
    fetch: (url, init) => fetch(url, init),
    createConnection: (configuration) => new RTCPeerConnection(configuration),
    receivableCodecs: (kind) => globalThis.RTCRtpReceiver?.getCapabilities?.(kind)?.codecs ?? [],
    watchPlace,
    onNetworkChange(callback) {
      const connection = (navigator as Navigator & { connection?: NetworkInformation }).connection;
      let type = connection?.type;
      // It also fires when an estimate of the speed changed, which is nothing to us.
      const changed = () => {
        if (connection?.type === type) return;
        type = connection?.type;
        callback("changed");
      };
      const online = () => callback("online");
      const offline = () => callback("offline");
      const visible = () => {
        if (document.visibilityState === "visible") callback("visible");
      };
      addEventListener("online", online);
      addEventListener("offline", offline);
      document.addEventListener("visibilitychange", visible);
      connection?.addEventListener("change", changed);
      return () => {
        removeEventListener("online", online);
        removeEventListener("offline", offline);
        document.removeEventListener("visibilitychange", visible);
        connection?.removeEventListener("change", changed);
      };
    },
    onPageEnd(callback) {
      const hidden = ({ persisted }: PageTransitionEvent) => {
        if (!persisted) callback();
      };
      addEventListener("pagehide", hidden);
      return () => removeEventListener("pagehide", hidden);
    },
  };
}
