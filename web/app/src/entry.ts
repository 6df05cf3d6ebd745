// What one enters with: the token of an invitation, which is exchanged once and kept for as long as it is good.
import { followInvite, type Invitation } from "@roundtable/sdk";

/** Seconds before its end at which a kept token is taken for ended. */
const MARGIN_S = 30;

/** The token for the room; undefined without an invitation. A reload does not use the invitation again. */
export async function tokenFor(home: URL, code: string | null, name: string): Promise<string | undefined> {
  if (code === null) return undefined;
  const key = `roundtable.invite.${code}`;
  const kept = recall(key);
  if (kept !== null && kept.expiresAt > Date.now() / 1000 + MARGIN_S) return kept.token;
  const invitation = await followInvite(home, code, name);
  try {
    sessionStorage.setItem(key, JSON.stringify(invitation));
  } catch {
    // A browser that keeps nothing uses the invitation again next time.
  }
  return invitation.token;
}

function recall(key: string): Invitation | null {
  try {
    return JSON.parse(sessionStorage.getItem(key) ?? "null") as Invitation | null;
  } catch {
    return null;
  }
}
