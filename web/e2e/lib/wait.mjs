// Waiting: always for something, never longer than a deadline.

/** @param {number} ms */
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Asks until the answer is true-ish and gives it. An error counts as "not yet".
 * @template T
 * @param {string} what what is awaited, for the message
 * @param {() => T | Promise<T>} probe
 * @param {{ timeout?: number, interval?: number }} [options]
 * @returns {Promise<NonNullable<T>>}
 */
export async function until(what, probe, { timeout = 20_000, interval = 100 } = {}) {
  const deadline = Date.now() + timeout;
  /** @type {unknown} */
  let last;
  for (;;) {
    try {
      const value = await probe();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`not within ${timeout} ms: ${what} (last: ${String(last)})`);
    }
    await sleep(interval);
  }
}
