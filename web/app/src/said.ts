// What the page says to whoever sits before it, from wherever it comes.
import { signal } from "@preact/signals";

/** A sentence that must be read: in the lobby why one is not in, in the call why something did not work. */
export const problem = signal("");
/** A sentence for those who listen instead of look. */
export const announcement = signal("");
