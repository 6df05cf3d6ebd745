// Logging in: a name and a password, or a visit to an identity provider, exchanged for the token one enters with.
import { ask, type Fetch } from "./ask.ts";

/** How one can log in at a server. */
export interface LoginWays {
  /** By a name and a password. */
  password: boolean;
  /** At an identity provider of this name; null if there is none. */
  oidc: string | null;
}

/** What a login was exchanged for. */
export interface Login {
  /** The room it is for. */
  room: string;
  /** For {@link Room.connect}. */
  token: string;
  /** The name in the token, which others will see. */
  name: string;
  /** When the token ends, in seconds since 1970 UTC. */
  expiresAt: number;
}

/** Asks how one can log in. `base` is where the server's pages are, as for `signalUrl`. */
export function loginWays(base: string | URL, fetch: Fetch = globalThis.fetch): Promise<LoginWays> {
  return ask(fetch, new URL("api/v1/login", base));
}

/** Logs in by name and password. Rejects with the server's code: `login/refused`, `login/rate`, `login/room`. */
export function logIn(
  base: string | URL,
  credentials: { user: string; password: string; room: string },
  fetch: Fetch = globalThis.fetch,
): Promise<Login> {
  return ask(fetch, new URL("api/v1/login", base), credentials);
}

/** Where a browser goes to log in at the identity provider. It comes back to the room's page with `#login=TICKET`. */
export function providerUrl(base: string | URL, room: string): string {
  return new URL(`login/oidc?room=${encodeURIComponent(room)}`, base).href;
}

/** Exchanges the ticket that one came back with, which can be done once and within a minute. */
export function redeemLogin(
  base: string | URL,
  ticket: string,
  fetch: Fetch = globalThis.fetch,
): Promise<Login> {
  return ask(fetch, new URL("api/v1/login/oidc", base), { ticket });
}
