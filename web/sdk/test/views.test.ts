import { describe, expect, test } from "vitest";
import type { ViewChange } from "../src/protocol.ts";
import { GATHER_MS, SAY_AGAIN_MS, Views } from "../src/views.ts";
import { FakeClock } from "./fakes.ts";

function setUp() {
  const clock = new FakeClock();
  const said: ViewChange[][] = [];
  const state = { isOpen: true };
  const views = new Views(clock, (changes) => {
    if (state.isOpen) said.push(changes);
    return state.isOpen;
  });
  return { clock, said, state, views };
}

const tile = {};
const stage = {};
const seen = (width: number, height: number) => ({ visible: true, width, height });
const hidden = { visible: false, width: 320, height: 180 };

describe("views", () => {
  test("gather what changes together into one message", async () => {
    const { clock, said, views } = setUp();
    views.handlePlace("a", tile, seen(100, 50));
    await clock.advance(GATHER_MS - 1);
    views.handlePlace("a", tile, seen(320.4, 180.2));
    views.handlePlace("b", tile, hidden);
    expect(said).toEqual([]);
    await clock.advance(1);
    expect(said).toEqual([
      [
        { track: "a", visible: true, pinned: false, width: 320, height: 180 },
        { track: "b", visible: false, pinned: false },
      ],
    ]);
    views.handlePlace("a", tile, seen(320, 180));
    await clock.advance(GATHER_MS);
    expect(said).toHaveLength(1);
  });

  test("a track in two places needs the larger, and is hidden when both are", async () => {
    const { clock, said, views } = setUp();
    views.handlePlace("a", tile, seen(160, 90));
    views.handlePlace("a", stage, seen(1280, 720));
    await clock.advance(GATHER_MS);
    expect(said.at(-1)).toMatchObject([{ visible: true, width: 1280, height: 720 }]);
    views.handlePlace("a", stage, { ...seen(1280, 720), visible: false });
    await clock.advance(GATHER_MS);
    expect(said.at(-1)).toMatchObject([{ visible: true, width: 160, height: 90 }]);
    views.handlePlace("a", tile, hidden);
    await clock.advance(GATHER_MS);
    expect(said.at(-1)).toEqual([{ track: "a", visible: false, pinned: false }]);
  });

  test("what is shown nowhere any more counts as if nothing had been said", async () => {
    const { clock, said, views } = setUp();
    views.handlePlace("a", tile, hidden);
    await clock.advance(GATHER_MS);
    views.handlePlace("a", tile, null);
    await clock.advance(GATHER_MS);
    expect(said.at(-1)).toEqual([{ track: "a", visible: true, pinned: false }]);
    views.handlePlace("b", tile, null);
    await clock.advance(GATHER_MS);
    expect(said).toHaveLength(2);
  });

  test("a wish is kept whatever the places do", async () => {
    const { clock, said, views } = setUp();
    views.handleWish("a", { pinned: true });
    views.handleWish("a", { maxFps: 10, priority: 200 });
    await clock.advance(GATHER_MS);
    const wish = { pinned: true, maxFps: 10, priority: 200 };
    expect(said.at(-1)).toEqual([{ track: "a", visible: true, ...wish }]);
    views.handlePlace("a", tile, seen(10, 10));
    await clock.advance(GATHER_MS);
    expect(said.at(-1)).toEqual([{ track: "a", visible: true, width: 10, height: 10, ...wish }]);
  });

  test("another server, or one that would not listen, is told everything", async () => {
    const { clock, said, state, views } = setUp();
    state.isOpen = false;
    views.handlePlace("a", tile, hidden);
    await clock.advance(GATHER_MS);
    state.isOpen = true;
    views.sayAgain();
    await clock.advance(GATHER_MS);
    expect(said).toHaveLength(1);
    views.sayAgain(SAY_AGAIN_MS);
    await clock.advance(SAY_AGAIN_MS);
    expect(said[1]).toEqual(said[0]);
    views.forget("a");
    views.sayAgain();
    await clock.advance(GATHER_MS);
    expect(said).toHaveLength(2);
  });

  test("many changes travel in pieces that the server takes", async () => {
    const { clock, said, views } = setUp();
    for (let n = 0; n < 300; n += 1) views.handlePlace(`t${n}`, tile, hidden);
    await clock.advance(GATHER_MS);
    expect(said.map((changes) => changes.length)).toEqual([128, 128, 44]);
  });
});
