// Invitations: a short code out of a link, exchanged for the token one enters with.
import { ask, type Fetch } from "./ask.ts";

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

/**
 * Follows an invitation, which counts as a use of it. `base` is where the server's pages are, as for `signalUrl`.
 * Rejects with the server's code.
 */
export function followInvite(
  base: string | URL,
  code: string,
  name: string,
  fetch: Fetch = globalThis.fetch,
): Promise<Invitation> {
  const url = new URL(`api/v1/invites/${encodeURIComponent(code)}`, base);
  return ask(fetch, url, name === "" ? {} : { name });
}
