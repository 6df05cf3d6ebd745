// What was written before the newest messages, page by page as it is asked for.
import type { Chat } from "./chat.ts";
import { RoundtableError, type RoundtableErrorCode } from "./errors.ts";
import type { ClientMessage, ServerMessage } from "./protocol.ts";

/** Messages of a page unless asked otherwise, and at most. */
export const CHAT_PAGE = 50;
const MAX_CHAT_PAGE = 100;

interface Question {
  readonly id: number;
  readonly answered: Promise<boolean>;
  readonly resolve: (hasMore: boolean) => void;
  readonly reject: (error: RoundtableError) => void;
}

/** Asks for one page at a time, behind the oldest message that is known. */
export class ChatPages {
  readonly #chat: Chat;
  readonly #nextId: () => number;
  #question: Question | null = null;
  /** Where the next page ends; undefined: before the oldest message that is known. */
  #before: string | null | undefined = undefined;

  constructor(chat: Chat, nextId: () => number) {
    this.#chat = chat;
    this.#nextId = nextId;
  }

  /**
   * Asks for the messages before those that are known; resolves, once they are in the chat, with whether there are more.
   * Who asks again meanwhile waits for the same page.
   */
  load(transmit: (message: ClientMessage) => boolean, limit = CHAT_PAGE): Promise<boolean> {
    if (this.#question !== null) return this.#question.answered;
    if (this.#before === null) return Promise.resolve(false);
    const before = this.#before ?? this.#chat.oldest;
    const id = this.#nextId();
    const { promise: answered, resolve, reject } = withResolvers<boolean>();
    const bounded = Math.min(MAX_CHAT_PAGE, Math.max(1, Math.floor(limit)));
    const question = { type: "getChat", id, limit: bounded } as const;
    if (!transmit(before === null ? question : { ...question, before })) {
      return Promise.reject(new RoundtableError("sdk/closed", "There is no connection to the room."));
    }
    this.#question = { id, answered, resolve, reject };
    return answered;
  }

  handlePage({ id, messages, before }: Extract<ServerMessage, { type: "chatPage" }>): void {
    const question = this.#question;
    if (question?.id !== id) return;
    this.#question = null;
    this.#before = before;
    this.#chat.handlePage(messages);
    question.resolve(before !== null);
  }

  /** A question was refused; false if it was none of these. */
  handleError(id: number, code: RoundtableErrorCode, message: string): boolean {
    const question = this.#question;
    if (question?.id !== id) return false;
    this.#question = null;
    question.reject(new RoundtableError(code, message));
    return true;
  }

  /** One is in another room from now on. */
  handleMoved(): void {
    this.handleLost();
    this.#before = undefined;
  }

  /** The connection is gone, and an answer with it. */
  handleLost(): void {
    const question = this.#question;
    this.#question = null;
    question?.reject(new RoundtableError("sdk/closed", "The connection was lost before the answer came."));
  }
}

function withResolvers<T>() {
  let resolve: (value: T) => void = () => {};
  let reject: (error: RoundtableError) => void = () => {};
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}
