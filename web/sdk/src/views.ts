// How the page looks at the tracks of others, so that the server sends no more of them than is seen.
import type { Place } from "./place.ts";
import type { Clock, TimerHandle } from "./platform.ts";
import type { TrackId, ViewChange } from "./protocol.ts";

/** Changes are gathered for this long, so that a window that is being resized says little. */
export const GATHER_MS = 200;
/** What the server would not take is said again after this long. */
export const SAY_AGAIN_MS = 1_000;
/** Changes in one message; the server takes 128. */
const MAX_CHANGES = 128;
/** In place of what was said, when it may not have arrived. */
const UNSURE = "?";
/** Sides beyond this are told as this. */
const MAX_SIDE = 65_535;

/** What a page can wish beyond what its elements tell. */
export interface ViewWish {
  /** Holds the track on stage: it gets its bandwidth before others. */
  pinned?: boolean;
  /** More pictures a second are not wanted. */
  maxFps?: number;
  /** Orders what is otherwise equal, 0 to 255, the greater first. */
  priority?: number;
}

interface Look {
  /** By whoever watches. Nothing is said of a track that is shown nowhere: it counts as visible. */
  readonly places: Map<object, Place>;
  wish: ViewWish;
  /** What the server was last told. */
  said: string;
}

/** Gathers what elements tell, and says what is news. Pure but for its timer. */
export class Views {
  readonly #clock: Clock;
  readonly #say: (changes: ViewChange[]) => boolean;
  readonly #looks = new Map<TrackId, Look>();
  #timer: TimerHandle = null;

  /** `say` gives the server a message; false when there is no server to be told now. */
  constructor(clock: Clock, say: (changes: ViewChange[]) => boolean) {
    this.#clock = clock;
    this.#say = say;
  }

  /** An element that shows a track changed, or, with null, shows it no more. */
  handlePlace(track: TrackId, watcher: object, place: Place | null): void {
    const look = this.#lookAt(track);
    if (place === null) look.places.delete(watcher);
    else look.places.set(watcher, place);
    this.#saySoon(GATHER_MS);
  }

  /** Changes what is wished of a track. */
  handleWish(track: TrackId, wish: ViewWish): void {
    const look = this.#lookAt(track);
    look.wish = { ...look.wish, ...wish };
    this.#saySoon(GATHER_MS);
  }

  /** A track is gone. */
  forget(track: TrackId): void {
    this.#looks.delete(track);
  }

  /** The server knows nothing (any more): everything is said anew. */
  sayAgain(afterMs = GATHER_MS): void {
    for (const look of this.#looks.values()) look.said = "";
    this.#sayAllAfter(afterMs);
  }

  /** The server may have missed what was said last: everything that ever was is said once more. */
  repeat(): void {
    for (const look of this.#looks.values()) if (look.said !== "") look.said = UNSURE;
    this.#sayAllAfter(GATHER_MS);
  }

  #sayAllAfter(afterMs: number): void {
    this.#clock.clear(this.#timer);
    this.#timer = null;
    this.#saySoon(afterMs);
  }

  #lookAt(track: TrackId): Look {
    let look = this.#looks.get(track);
    if (look === undefined) {
      look = { places: new Map(), wish: {}, said: "" };
      this.#looks.set(track, look);
    }
    return look;
  }

  /** The first change sets the time; later ones do not put it off. */
  #saySoon(ms: number): void {
    this.#timer ??= this.#clock.set(() => {
      this.#timer = null;
      this.#sayNews();
    }, ms);
  }

  #sayNews(): void {
    const news: { look: Look; change: ViewChange; text: string }[] = [];
    for (const [track, look] of this.#looks) {
      const change = describe(track, look);
      const text = JSON.stringify(change);
      // What was never said and says nothing is the default.
      const isDefault = look.said === "" && text === JSON.stringify(nothing(track));
      if (text !== look.said && !isDefault) news.push({ look, change, text });
    }
    for (let from = 0; from < news.length; from += MAX_CHANGES) {
      const some = news.slice(from, from + MAX_CHANGES);
      if (!this.#say(some.map(({ change }) => change))) return;
      for (const { look, text } of some) look.said = text;
    }
  }
}

function nothing(track: TrackId): ViewChange {
  return { track, visible: true, pinned: false };
}

/** The largest of the places counts: one that is not seen has no size. */
function describe(track: TrackId, { places, wish }: Look): ViewChange {
  const seen = [...places.values()].filter(({ visible }) => visible);
  const side = (of: (place: Place) => number) =>
    Math.min(MAX_SIDE, Math.max(1, Math.round(Math.max(...seen.map(of)))));
  return {
    ...nothing(track),
    visible: places.size === 0 || seen.length > 0,
    ...(seen.length === 0 ? {} : { width: side((p) => p.width), height: side((p) => p.height) }),
    ...(wish.maxFps === undefined ? {} : { maxFps: wish.maxFps }),
    pinned: wish.pinned ?? false,
    ...(wish.priority === undefined ? {} : { priority: wish.priority }),
  };
}
