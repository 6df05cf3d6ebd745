// Bounds of the protocol that a client must keep; the same as in `crates/protocol/src/limit.rs`.

/** Longest SDP of an offer, in bytes. */
export const MAX_SDP_BYTES = 64 * 1024;
/** Longest chat text, in UTF-8 bytes. */
export const MAX_CHAT_BYTES = 16 * 1024;
/** Most people a private message goes to. */
export const MAX_PRIVATE_TO = 20;
/** Longest name, in characters. */
export const MAX_NAME_CHARS = 64;
/** Most seats this client asks for: with more, the offer of a browser would pass {@link MAX_SDP_BYTES}. */
export const MAX_SEATS = 32;
/** Most voice slots this client offers, whatever the server says. */
export const MAX_VOICE_SLOTS = 6;
/** Own chat messages that may wait for a connection. */
export const MAX_QUEUED_CHAT = 100;
/** Own chat messages that may be on their way; with {@link CHAT_PER_SECOND} and {@link CHAT_BURST} no more than the server takes, even if they arrive together. */
export const MAX_UNACKNOWLEDGED_CHAT = 15;
/** Own chat messages sent at once; the server takes 30. */
export const CHAT_BURST = 15;
/** Own chat messages a second after that; the server takes 10. */
export const CHAT_PER_SECOND = 9;
/** Chat messages kept for showing, beside those that were asked for. */
export const MAX_KEPT_CHAT = 1000;
/** Earlier chat messages that are kept because they were asked for. */
export const MAX_EARLIER_CHAT = 20_000;

/** The rule of room ids: 1–64 of `A–Z a–z 0–9 - _ . ~`, not dots alone. */
export function isRoomId(text: string): boolean {
  return /^[A-Za-z0-9\-_.~]{1,64}$/.test(text) && !/^\.+$/.test(text);
}

/** The rule of members' ids, which is the same. */
export function isMemberId(text: string): boolean {
  return isRoomId(text);
}
