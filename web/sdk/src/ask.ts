// One question to the server's HTTP API, and its answer or its refusal.
import { RoundtableError, type RoundtableErrorCode } from "./errors.ts";

/** What it needs of the browser's `fetch`. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** Asks, with a document to post if there is one. Rejects with the server's code, and with when it said to come back. */
export async function ask<Answer>(fetch: Fetch, url: URL, post?: unknown): Promise<Answer> {
  const body = JSON.stringify(post);
  const init: RequestInit =
    post === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body };
  let response: Response;
  try {
    response = await fetch(url.href, init);
  } catch {
    throw new RoundtableError("sdk/socket", "The server could not be asked.");
  }
  const answer = (await response.json().catch(() => ({}))) as unknown;
  if (response.ok) return answer as Answer;
  const { code = "sdk/socket", detail = "The server did not say what is wrong." } = answer as {
    code?: RoundtableErrorCode;
    detail?: string;
  };
  const seconds = Number(response.headers.get("retry-after")) || 0;
  throw new RoundtableError(code, detail, seconds > 0 ? { reconnectAfterMs: seconds * 1000 } : {});
}
