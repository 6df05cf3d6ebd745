// Knowing when a video element shows the first picture of a slot's new owner.
import type { Clock } from "./platform.ts";

/** A picture is awaited no longer than this: in hidden tabs the browser never tells. */
export const FRAME_TIMEOUT_MS = 1_000;

interface FrameMetadata {
  readonly rtpTimestamp?: number;
}

/** What is used of `HTMLVideoElement`. */
export interface FrameSource {
  requestVideoFrameCallback?(callback: (now: number, metadata: FrameMetadata) => void): number;
  cancelVideoFrameCallback?(handle: number): void;
}

/** Whether timestamp `a` is at or after `b`, modulo 2³². */
export function isAtOrAfter(a: number, b: number): boolean {
  return ((a - b) | 0) >= 0;
}

/**
 * Resolves with true at the first picture whose RTP timestamp is `from` or later (`null`: at the next picture),
 * after {@link FRAME_TIMEOUT_MS} at the latest, and at once where the browser cannot tell. False: aborted.
 */
export function firstFrame(
  element: FrameSource,
  from: number | null,
  clock: Clock,
  signal?: AbortSignal,
): Promise<boolean> {
  if (typeof element.requestVideoFrameCallback !== "function") return Promise.resolve(true);
  return new Promise((resolve) => {
    let handle = 0;
    const finish = (shown: boolean) => {
      clock.clear(timer);
      element.cancelVideoFrameCallback?.(handle);
      signal?.removeEventListener("abort", abort);
      resolve(shown);
    };
    const abort = () => finish(false);
    const timer = clock.set(() => finish(true), FRAME_TIMEOUT_MS);
    const watch = () => {
      handle =
        element.requestVideoFrameCallback?.((_now, { rtpTimestamp }) => {
          if (from === null || rtpTimestamp === undefined || isAtOrAfter(rtpTimestamp, from)) finish(true);
          else watch();
        }) ?? 0;
    };
    if (signal?.aborted === true) finish(false);
    else {
      signal?.addEventListener("abort", abort);
      watch();
    }
  });
}
