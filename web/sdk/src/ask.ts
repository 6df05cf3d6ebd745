// One question to the server's HTTP API, and its answer or its refusal.
import { RoundtableError, type RoundtableErrorCode } from "./errors.ts";

/** What it needs of the browser's `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/**
 * Asks, with a document to post if there is one, and a token. Rejects with the server's code, and with when it said to come
 * back.
 */
export async function ask<Answer>(fetch: Fetch, url: URL, post?: unknown, token?: string): Promise<Answer> {
  const bearer: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const headers = { ...(post === undefined ? {} : { "content-type": "application/json" }), ...bearer };
  const init: RequestInit = {
    ...(post === undefined ? {} : { method: "POST", body: JSON.stringify(post) }),
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
  };
  let response: Response;
  try {
    response = await fetch(url.href, init);
  } catch {
    throw new RoundtableError("sdk/socket", "The server could not be asked.");
  }
  if (!response.ok) throw await refusalOf(response);
  return (await response.json().catch(() => ({}))) as Answer;
}

/** Why the server did not do it. */
export async function refusalOf(response: Response): Promise<RoundtableError> {
  const answer = (await response.json().catch(() => ({}))) as { code?: RoundtableErrorCode; detail?: string };
  const { code = "sdk/socket", detail = "The server did not say what is wrong." } = answer;
  const seconds = Number(response.headers.get("retry-after")) || 0;
  return new RoundtableError(code, detail, seconds > 0 ? { reconnectAfterMs: seconds * 1000 } : {});
}
