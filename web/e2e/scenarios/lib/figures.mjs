// From what was measured to what is judged: pure functions of samples and table rows.

/**
 * A tenth of a second of one direction of a link. Bytes are with headers.
 * @typedef {{ at: number, bytesIn: number, bytesOut: number, dropped: number, lost: number, queueMs: number }} LinkRow
 *
 * What a page's getStats said of the video and the audio that brought most. Times are of `Date.now()`.
 * @typedef {object} Sample
 * @property {number} at
 * @property {number} height
 * @property {number} frames
 * @property {number} keyFrames
 * @property {number} freezes
 * @property {number} frozenS
 * @property {number} videoBytes without headers, padding and retransmissions
 * @property {number} nacks
 * @property {number} plis
 * @property {number} concealed samples of sound that had to be invented
 * @property {number} samples of sound in all
 * @property {number} otherFrames of cameras other than the one that brought most
 * @property {number} otherFreezes
 *
 * One layer of what a page sends.
 * @typedef {{ stream: string, spatial: number, temporal: number, frames: number, bytes: number }} Layer
 */

/** @typedef {{ bps: number, fps: number, height: number }} Rung something a server can choose */

/** Headers of RTP, SRTP, UDP and IP, as a share of the video they carry. */
const WIRE = 1.07;
/** Opus and its headers. */
const AUDIO_BPS = 60_000;
/** Fewer frames a second are no motion. */
const SLOW_FPS = 10;
/** Over this time a rate is taken. */
const WINDOW_MS = 500;
/** Between two samples of a page. */
export const SAMPLE_MS = 250;
/** Without a new frame for so long, a picture stands still. */
const STANDSTILL_MS = 300;
/** Frames a second from which on a picture moves. */
const MOVING_FPS = 3;

/** @param {readonly number[]} values @param {number} share of 0 to 1 */
export function percentile(values, share) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** @template {{ at: number }} T @param {readonly T[]} list @param {number} from @param {number} to */
export function between(list, from, to) {
  return list.filter(({ at }) => at >= from && at < to);
}

/** The last sample not after a time, or the first there is. @param {readonly Sample[]} samples @param {number} at */
export function sampleAt(samples, at) {
  const found = samples.findLast((sample) => sample.at <= at) ?? samples[0];
  if (found === undefined) throw new Error("nothing was sampled");
  return found;
}

/** The longest a page was kept from looking, in milliseconds. @param {readonly { at: number }[]} samples */
export function longestWait(samples) {
  return Math.max(0, ...samples.map(({ at }, index) => at - (samples[index - 1]?.at ?? at) - SAMPLE_MS));
}

/** What happened between two times. @param {readonly Sample[]} samples @param {number} from @param {number} to */
export function change(samples, from, to) {
  const [a, b] = [sampleAt(samples, from), sampleAt(samples, to)];
  const seconds = Math.max((b.at - a.at) / 1000, 0.001);
  const sound = b.samples - a.samples;
  return {
    seconds,
    frames: b.frames - a.frames,
    fps: (b.frames - a.frames) / seconds,
    videoBps: ((b.videoBytes - a.videoBytes) * 8) / seconds,
    freezes: b.freezes - a.freezes,
    frozenS: b.frozenS - a.frozenS,
    keyFrames: b.keyFrames - a.keyFrames,
    plis: b.plis - a.plis,
    otherFps: (b.otherFrames - a.otherFrames) / seconds,
    otherFreezes: b.otherFreezes - a.otherFreezes,
    concealedShare: sound > 0 ? (b.concealed - a.concealed) / sound : Number.NaN,
    // Chromium forgets a stand-still that ends with a key frame, and one that has not ended is no freeze yet.
    stoodS: standstills(between(samples, a.at, b.at + 1)).reduce((sum, s) => sum + s, 0),
    longestStoodS: Math.max(0, ...standstills(between(samples, a.at, b.at + 1))),
  };
}

/**
 * Seconds of each time without a new frame that is long enough to be seen. A frame may have come right after one
 * sample and the next right before another, so that a grain of the samples is not counted.
 * @param {readonly Sample[]} samples
 */
export function standstills(samples) {
  const found = [];
  let since = samples[0];
  for (const [index, sample] of samples.entries()) {
    if (since === undefined) break;
    const isLast = index === samples.length - 1;
    if (sample.frames > since.frames || isLast) {
      const ms = sample.at - since.at - SAMPLE_MS;
      if (ms >= STANDSTILL_MS) found.push(ms / 1000);
      since = sample;
    }
  }
  return found;
}

/** Whether a picture of that height was moving in the second before. @param {readonly Sample[]} samples @param {number} height */
export function moves(samples, height) {
  return (/** @type {Sample} */ sample) =>
    sample.height >= height && sample.frames - sampleAt(samples, sample.at - 1000).frames >= MOVING_FPS;
}

/**
 * Seconds from a time until something holds and goes on holding for `holdMs`; infinite if it never does.
 * @param {readonly Sample[]} samples @param {number} from @param {number} to
 * @param {(sample: Sample, index: number, list: readonly Sample[]) => boolean} holds @param {number} [holdMs]
 */
export function secondsUntil(samples, from, to, holds, holdMs = 0) {
  const list = between(samples, from, to);
  let since = Number.NaN;
  for (const [index, sample] of list.entries()) {
    if (!holds(sample, index, list)) since = Number.NaN;
    else if (Number.isNaN(since)) since = sample.at;
    if (sample.at - since >= holdMs) return (since - from) / 1000;
  }
  return Number.POSITIVE_INFINITY;
}

/**
 * Seconds from a time until what enters a link is no more than it carries, for a second.
 * @param {readonly LinkRow[]} rows @param {number} from @param {number} to @param {number} bps
 */
export function secondsUntilFits(rows, from, to, bps) {
  const rate = (/** @type {number} */ at) =>
    (between(rows, at - WINDOW_MS, at).reduce((sum, row) => sum + row.bytesIn, 0) * 8000) / WINDOW_MS;
  let since = Number.NaN;
  // What was sent before the link changed is nobody's fault, so the first window lies after it.
  for (let at = from + WINDOW_MS; at <= to; at += 100) {
    if (rate(at) > bps * 1.05) since = Number.NaN;
    else if (Number.isNaN(since)) since = at;
    if (at - since >= 1000) return (since - WINDOW_MS - from) / 1000;
  }
  return Number.POSITIVE_INFINITY;
}

/** Bits a second out of a link. @param {readonly LinkRow[]} rows @param {number} from @param {number} to */
export function carriedBps(rows, from, to) {
  return (between(rows, from, to).reduce((sum, row) => sum + row.bytesOut, 0) * 8000) / (to - from);
}

/**
 * Every rung a server could choose, from the layers of a stretch of time. A stream that was off for a part of it
 * counts as if it had gone on.
 * @param {readonly Layer[]} layers @param {number} seconds @param {boolean} keyMode spatial layers stand on each other in key frames only
 * @param {(layer: Layer) => number} heightOf @returns {Rung[]}
 */
export function rungs(layers, seconds, keyMode, heightOf) {
  const all = picturesPerSecond(layers, seconds);
  return layers.map((top) => {
    const stream = layers.filter((layer) => layer.stream === top.stream);
    const secondsOn = seconds * (picturesPerSecond(stream, seconds) / all || 1);
    const slower = stream.filter((layer) => layer.temporal <= top.temporal);
    const own = slower.filter((layer) => layer.spatial === top.spatial);
    const below = keyMode ? own : slower.filter((layer) => layer.spatial <= top.spatial);
    return {
      bps: (below.reduce((sum, layer) => sum + layer.bytes, 0) * 8) / secondsOn,
      fps: own.reduce((sum, layer) => sum + layer.frames, 0) / secondsOn,
      height: heightOf(top),
    };
  });
}

/**
 * Frames a second of the fastest stream. A picture counts once, however many spatial layers it has.
 * @param {readonly Layer[]} layers @param {number} seconds
 */
export function picturesPerSecond(layers, seconds) {
  /** @type {Map<string, number>} */
  const pictures = new Map();
  for (const { stream, frames } of layers.filter(({ spatial }) => spatial === 0)) {
    pictures.set(stream, (pictures.get(stream) ?? 0) + frames);
  }
  return Math.max(0, ...pictures.values()) / seconds;
}

/** Those that fit beside the sound. @param {readonly Rung[]} rungs @param {number} capBps */
export function fitting(rungs, capBps) {
  return rungs.filter(({ bps }) => bps * WIRE + AUDIO_BPS <= capBps);
}

/**
 * What a rung is worth to who watches, as the server weighs it: the logarithm of its size and its motion, and of motion
 * once more where it is so slow that a smaller picture is better. @param {Rung} rung
 */
export function worth({ height, fps }) {
  return Math.log2(height) + 0.5 * Math.log2(fps / 30) + Math.min(0, Math.log2(fps / SLOW_FPS));
}

/** The one worth most; none if there is none. @param {readonly Rung[]} rungs @returns {Rung} */
export function bestRung(rungs) {
  const none = { bps: Number.NaN, fps: 0, height: 0 };
  return rungs.reduce((best, rung) => (worth(rung) > worth(best) ? rung : best), none);
}

/**
 * How often the picture's height changed. A height of 0 is not a picture yet.
 * @param {readonly Sample[]} samples
 */
export function heightChanges(samples) {
  const heights = samples.map(({ height }) => height).filter((height) => height > 0);
  return heights.filter((height, index) => index > 0 && height !== heights[index - 1]).length;
}

/** Collects what is judged, and against what. */
export class Verdict {
  /** @param {string} id of the scenario */
  constructor(id) {
    this.id = id;
  }

  /** @type {{ name: string, value: number, limit: string, holds: boolean | null, isBroken: boolean }[]} */
  figures = [];

  /** What else is worth keeping. @type {object} */
  raw = {};

  /**
   * What is demanded; `guard` is what holds on every machine that is fast enough, see {@link Verdict.broken}.
   * @param {string} name @param {number} value @param {number} limit @param {number} [guard]
   */
  atMost(name, value, limit, guard) {
    const isBroken = guard !== undefined && !(value <= guard);
    this.figures.push({ name, value, limit: `≤ ${limit}`, holds: value <= limit, isBroken });
  }

  /** The same. @param {string} name @param {number} value @param {number} limit @param {number} [guard] */
  atLeast(name, value, limit, guard) {
    const isBroken = guard !== undefined && !(value >= guard);
    this.figures.push({ name, value, limit: `≥ ${limit}`, holds: value >= limit, isBroken });
  }

  /** For information only. @param {string} name @param {number} value */
  note(name, value) {
    this.figures.push({ name, value, limit: "", holds: null, isBroken: false });
  }

  /** What is not as demanded. */
  get failures() {
    return this.figures.filter(({ holds }) => holds === false).map(told);
  }

  /** What is not even as its guard demands: no noise of the machine explains that. */
  get broken() {
    return this.figures.filter(({ isBroken }) => isBroken).map(told);
  }

  /** The figures as one cell of a table. */
  toString() {
    const sign = { true: " ✓", false: " ✗", null: "" };
    return this.figures
      .map(({ name, value, limit, holds }) => {
        const bound = limit === "" ? "" : ` (${limit})`;
        return `${name} ${show(value)}${bound}${sign[/** @type {"true"} */ (String(holds))]}`;
      })
      .join("; ");
  }
}

/** @param {{ name: string, value: number, limit: string }} figure */
function told({ name, value, limit }) {
  return `${name}: ${show(value)}, not ${limit}`;
}

/** @param {number} value */
function show(value) {
  if (value === Number.POSITIVE_INFINITY) return "never";
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}
