// Invitations: a short code out of a link, exchanged for the token one enters with.
import { RoundtableError, type RoundtableErrorCode } from "./errors.ts";

/** What an invitation was exchanged for. */
export interface Invitation {
  /** The room it leads to. */
  room: string;
  /** For {@link Room.connect}. */
  token: string;
  /** The name in the token, which others will see. */
  name: string;
  /** When the token ends, in seconds since 1970 UTC. */
  expiresAt: number;
}

/** What it needs of the browser's `fetch`. */
type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/**
 * Follows an invitation, which counts as a use of it. `base` is where the server's pages are, as for `signalUrl`.
 * Rejects with the server's code.
 */
export async function followInvite(
  base: string | URL,
  code: string,
  name: string,
  fetch: Fetch = globalThis.fetch,
): Promise<Invitation> {
  const url = new URL(`api/v1/invites/${encodeURIComponent(code)}`, base).href;
  const body = JSON.stringify(name === "" ? {} : { name });
  let response: Response;
  try {
    response = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
  } catch {
    throw new RoundtableError("sdk/socket", "The server could not be asked about the invitation.");
  }
  const answer = (await response.json().catch(() => ({}))) as unknown;
  if (response.ok) return answer as Invitation;
  const { code: word = "sdk/socket", detail = "The server did not say what is wrong with the invitation." } =
    answer as { code?: RoundtableErrorCode; detail?: string };
  throw new RoundtableError(word, detail);
}
