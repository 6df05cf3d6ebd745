import { describe, expect, test } from "vitest";
import { FRAME_TIMEOUT_MS, firstFrame, isAtOrAfter } from "../src/frame.ts";
import { SlotTable } from "../src/slot.ts";
import { FakeClock, settle } from "./fakes.ts";

const owner = (id: string) => ({ id, member: `of-${id}`, rtpTimestamp: 1000 });

describe("slots", () => {
  test("go from one owner to another and idle", () => {
    const slots = new SlotTable();
    expect(slots.handleChanges([{ mid: "3", generation: 1, track: owner("a") }])).toEqual([
      { mid: "3", released: null, taken: owner("a") },
    ]);
    expect(slots.handleChanges([{ mid: "3", generation: 2, track: owner("b") }])).toEqual([
      { mid: "3", released: owner("a"), taken: owner("b") },
    ]);
    expect(slots.find("a")).toBeUndefined();
    expect(slots.find("b")?.mid).toBe("3");
    expect(slots.handleChanges([{ mid: "3", generation: 3, track: null }])).toEqual([
      { mid: "3", released: owner("b"), taken: null },
    ]);
    expect(slots.owners().size).toBe(0);
  });

  test("ignore changes that are older than what is known", () => {
    const slots = new SlotTable();
    slots.handleChanges([{ mid: "3", generation: 5, track: owner("a") }]);
    expect(slots.handleChanges([{ mid: "3", generation: 4, track: null }])).toEqual([]);
    expect(slots.handleChanges([{ mid: "3", generation: 5, track: null }])).toEqual([]);
    expect(slots.find("a")?.mid).toBe("3");
  });
});

describe("the first frame of an owner", () => {
  class Element {
    callback: ((now: number, metadata: { rtpTimestamp?: number }) => void) | null = null;
    requestVideoFrameCallback(callback: (now: number, metadata: { rtpTimestamp?: number }) => void): number {
      this.callback = callback;
      return 1;
    }
    show(rtpTimestamp: number): void {
      this.callback?.(0, { rtpTimestamp });
    }
  }

  test("timestamps compare modulo 2³²", () => {
    expect(isAtOrAfter(5, 5)).toBe(true);
    expect(isAtOrAfter(4, 5)).toBe(false);
    expect(isAtOrAfter(10, 0xffff_fff0)).toBe(true);
    expect(isAtOrAfter(0xffff_fff0, 10)).toBe(false);
  });

  test("is the first at or after the announced timestamp", async () => {
    const element = new Element();
    let shown: boolean | undefined;
    void firstFrame(element, 9000, new FakeClock()).then((value) => {
      shown = value;
    });
    element.show(3000);
    element.show(6000);
    await settle();
    expect(shown).toBeUndefined();
    element.show(9000);
    await settle();
    expect(shown).toBe(true);
  });

  test("is not awaited for ever, nor after being aborted, nor where the browser cannot tell", async () => {
    const clock = new FakeClock();
    const late = firstFrame(new Element(), 1, clock);
    await clock.advance(FRAME_TIMEOUT_MS);
    expect(await late).toBe(true);
    const controller = new AbortController();
    const aborted = firstFrame(new Element(), 1, clock, controller.signal);
    controller.abort();
    expect(await aborted).toBe(false);
    expect(await firstFrame({}, 1, clock)).toBe(true);
    expect(clock.pending).toBe(0);
  });
});
