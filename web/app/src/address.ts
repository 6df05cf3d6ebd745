// Where the page lives, and which room its address names.
import { isRoomId } from "@roundtable/sdk";

/** An address taken apart. */
export interface Place {
  /** The page's home, prefix included, with a slash at the end. */
  readonly home: URL;
  /** The room in the address; null on the front page. */
  readonly room: string | null;
}

/** `base` is the href of the page's `<base>`, which the server writes; without one the address alone must do. */
export function locate(page: string, base: string | null): Place {
  const url = new URL(page);
  const found = /^(.*\/)r\/([^/]+)\/?$/.exec(url.pathname);
  const home = new URL(base ?? found?.[1] ?? ".", url);
  home.search = "";
  home.hash = "";
  return { home, room: found?.[2] === undefined ? null : toRoomId(found[2]) };
}

function toRoomId(segment: string): string | null {
  try {
    const id = decodeURIComponent(segment);
    return isRoomId(id) ? id : null;
  } catch {
    return null;
  }
}

/** The link to share. */
export function roomLink(home: URL, room: string): string {
  return new URL(`r/${encodeURIComponent(room)}`, home).href;
}

/** What somebody typed as a room, as an id that can stand in a link. */
export function suggestRoomId(typed: string): string {
  return typed
    .normalize("NFKD")
    .replace(/[\u0300-\u036f]/g, "")
    .replace(/[^A-Za-z0-9\-_.~]+/g, "-")
    .replace(/^[-.]+|-+$/g, "")
    .slice(0, 64);
}

const FIRST = ["amber", "brave", "calm", "eager", "gentle", "lucky", "merry", "quiet", "swift", "witty"];
const SECOND = ["badger", "falcon", "heron", "lynx", "marten", "otter", "raven", "seal", "swan", "wolf"];

/** A name for a new room that nobody else is likely to be in. */
export function randomRoomId(): string {
  const [a = 0, b = 0, c = 0] = crypto.getRandomValues(new Uint32Array(3));
  return `${FIRST[a % FIRST.length]}-${SECOND[b % SECOND.length]}-${(c % 0x100000).toString(36)}`;
}

/** Settings in the query, for tests and for those who look for a fault. */
export interface Options {
  /** `?relay=1`: through the TURN server only. */
  readonly relay: boolean;
  /** `?invite=CODE`: an invitation to exchange for a token. */
  readonly invite: string | null;
  /** `?w=320&fps=10`: a smaller picture. */
  readonly capture: MediaTrackConstraints;
}

export function readOptions(search: string): Options {
  const query = new URLSearchParams(search);
  const width = Number(query.get("w")) || 0;
  const fps = Number(query.get("fps")) || 0;
  return {
    relay: query.get("relay") === "1",
    invite: query.get("invite"),
    capture: {
      ...(width > 0 ? { width, height: Math.round((width * 9) / 16) } : {}),
      ...(fps > 0 ? { frameRate: fps } : {}),
    },
  };
}
