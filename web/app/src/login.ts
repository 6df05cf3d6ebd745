// Who one has logged in as: for one room, for as long as the token is good, in this tab.
import { signal } from "@preact/signals";
import {
  type Login,
  type LoginWays,
  logIn,
  loginWays,
  redeemLogin,
  toRoundtableError,
} from "@roundtable/sdk";
import { loginProblem } from "./text.ts";

/** Seconds before its end at which a login is taken for ended. */
const MARGIN_S = 30;

export const ways = signal<LoginWays>({ password: false, oidc: null });
export const signingIn = signal(false);
/** Why one is not signed in. */
export const refusal = signal("");
const login = signal<Login | null>(null);

/** Whether there is any way to sign in. */
export function canSignIn(): boolean {
  return ways.value.password || ways.value.oidc !== null;
}

/** Who one has signed in as for the room; null for nobody. */
export function loginFor(room: string): Login | null {
  const found = login.value?.room === room ? login.value : null;
  return found !== null && found.expiresAt > Date.now() / 1000 + MARGIN_S ? found : null;
}

/** Who one has signed in as, for whichever room; null for nobody. */
export function anyLogin(): Login | null {
  return login.value === null ? null : loginFor(login.value.room);
}

/** To whom calls are: the subject of the token. Null of one that cannot be read. */
export function identityOf({ token }: Pick<Login, "token">): string | null {
  try {
    const claims = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(claims), (letter) => letter.charCodeAt(0));
    const { sub } = JSON.parse(new TextDecoder().decode(bytes)) as { sub?: unknown };
    return typeof sub === "string" ? sub : null;
  } catch {
    return null;
  }
}

/** Finds out how one can sign in, and whether one has: in this tab before, or at the provider just now. */
export async function beginLogin(home: URL, room: string, hash: string): Promise<void> {
  login.value = recall(room);
  const found = new URLSearchParams(hash.slice(1));
  const [ticket, code] = [found.get("login"), found.get("login-error")];
  // Neither is to be there again after a reload.
  if (ticket !== null || code !== null) history.replaceState(null, "", location.pathname + location.search);
  if (code !== null) refusal.value = loginProblem(code);
  const asked = loginWays(home).then(
    (answer) => {
      ways.value = answer;
    },
    // A server that cannot be asked says so when one joins.
    () => {},
  );
  if (ticket !== null) await attempt(() => redeemLogin(home, ticket));
  await asked;
}

/** Signs in by name and password; whether that went well. */
export function signIn(home: URL, room: string, user: string, password: string): Promise<boolean> {
  return attempt(() => logIn(home, { user, password, room }));
}

/** Forgets who one is. */
export function signOut(room: string): void {
  login.value = null;
  try {
    sessionStorage.removeItem(keyOf(room));
  } catch {
    // Nothing was kept.
  }
}

async function attempt(exchange: () => Promise<Login>): Promise<boolean> {
  if (signingIn.value) return false;
  signingIn.value = true;
  refusal.value = "";
  try {
    const found = await exchange();
    login.value = found;
    keep(found);
    return true;
  } catch (error) {
    const { code, reconnectAfterMs } = toRoundtableError(error, "sdk/socket");
    refusal.value = loginProblem(code, reconnectAfterMs);
    return false;
  } finally {
    signingIn.value = false;
  }
}

function keyOf(room: string): string {
  return `roundtable.login.${room}`;
}

function keep(found: Login): void {
  try {
    sessionStorage.setItem(keyOf(found.room), JSON.stringify(found));
  } catch {
    // A browser that keeps nothing asks again after a reload.
  }
}

function recall(room: string): Login | null {
  try {
    return JSON.parse(sessionStorage.getItem(keyOf(room)) ?? "null") as Login | null;
  } catch {
    return null;
  }
}
