import type { ClientMessage, ConnectionStats, Room } from "@roundtable/sdk";

declare global {
  interface Window {
    /** What the page shows of itself. */
    roundtable: { room: Room; stats(): Promise<ConnectionStats | null> };
    /** Events that a page's EventSource heard. */
    heard: { type: string; id: string; data: string }[];
    /** When tiles went away, by member. */
    tilesGone: Record<string, number>;
    /** What a scenario notes in a page; see scenarios/lib/page.mjs. */
    scenario: {
      samples: import("./scenarios/lib/figures.mjs").Sample[];
      sent: import("./scenarios/lib/stage.mjs").Sent[];
      layers: import("./scenarios/lib/figures.mjs").Layer[];
      joinedAt: number;
      firstFrameAt: number;
    };
    /** What a page said by its sockets, and the sockets. */
    said: ClientMessage[];
    sockets: WebSocket[];
    /** What came and went by a page's sockets; see packing.test.mjs. */
    packing: { text: number; binary: number; arrays: number; sentText: number; sentBinary: number };
    /** What the room of a page told of others and of its connection. */
    seen: string[];
    /** Peer connections that a page made; see lib/transport.mjs. */
    connections: RTCPeerConnection[];
    /** Everything a page was told, by its socket and its channels; see private.test.mjs. */
    told: string[];
    /** When a page began to ring, by `Date.now()`, and the steps of calls that its room told; see ring.test.mjs. */
    rangAt: number;
    steps: string[];
    /** Tones that a page began to play. */
    tones: number;
    /** How often a page asked for camera or microphone. */
    devicesAsked: number;
    /** Ties a document to the room; see lib/yjs_page.mjs. */
    tieDoc(name: string): void;
    /** That document. */
    doc: { write(at: number, what: string): void; read(): { text: string; last: number } };
    /** Set by markup that should never run. */
    hacked?: boolean;
  }
}
