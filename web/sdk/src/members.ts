// Everybody in a room, page by page over HTTP: a large room does not list its viewers.
import { RoundtableError, type RoundtableErrorCode } from "./errors.ts";
import type { RosterPage } from "./protocol.ts";

/** Which page of everybody in a room. */
export interface PageWish {
  /** The `next` of the page before; absent for the first. */
  after?: number;
  /** People on the page, 1 to 500; the server has a default. */
  limit?: number;
}

/** What it needs of the browser's `fetch`. */
export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

/** The URL of a page, beside the signalling socket's (`wss://host/prefix/ws?room=name`). */
export function membersUrl(signal: string, wish: PageWish): string {
  const socket = new URL(signal);
  const room = encodeURIComponent(socket.searchParams.get("room") ?? "");
  const url = new URL(`api/v1/rooms/${room}/members`, socket);
  url.protocol = socket.protocol === "wss:" ? "https:" : "http:";
  if (wish.after !== undefined) url.searchParams.set("after", String(wish.after));
  if (wish.limit !== undefined) url.searchParams.set("limit", String(wish.limit));
  return url.href;
}

/** Fetches a page, with the token one entered with; rejects with the server's code. */
export async function fetchMembers(
  fetch: Fetch,
  signal: string,
  wish: PageWish,
  token?: string,
): Promise<RosterPage> {
  const init = token === undefined ? undefined : { headers: { authorization: `Bearer ${token}` } };
  let response: Response;
  try {
    response = await fetch(membersUrl(signal, wish), init);
  } catch {
    throw new RoundtableError("sdk/socket", "The server could not be asked who is here.");
  }
  const body = (await response.json().catch(() => ({}))) as unknown;
  if (response.ok) return body as RosterPage;
  const { code = "sdk/socket", detail = "The server did not say who is here." } = body as {
    code?: RoundtableErrorCode;
    detail?: string;
  };
  throw new RoundtableError(code, detail);
}
