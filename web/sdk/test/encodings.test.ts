import { describe, expect, test } from "vitest";
import { EncodingSwitch } from "../src/encodings.ts";
import { settle } from "./fakes.ts";

function setUp(encodings: RTCRtpEncodingParameters[]) {
  let parameters = { transactionId: "0", encodings } as unknown as RTCRtpSendParameters;
  const log: string[] = [];
  const waiting: (() => void)[] = [];
  const sender = {
    getParameters: () => structuredClone(parameters),
    setParameters: (next: RTCRtpSendParameters) =>
      new Promise<void>((resolve) => {
        log.push(next.encodings.map((e) => `${e.rid ?? "-"}${e.active === false ? "0" : "1"}`).join(" "));
        waiting.push(() => {
          parameters = next;
          resolve();
        });
      }),
  };
  const release = async () => {
    waiting.shift()?.();
    await settle();
  };
  return {
    encodings: new EncodingSwitch(sender as unknown as RTCRtpSender),
    log,
    release,
    now: () => parameters,
  };
}

const simulcast = () => ["q", "h", "f"].map((rid) => ({ rid, active: true, maxBitrate: 1_000 }));

describe("encodings", () => {
  test("what nobody wants is not sent, and nothing else changes", async () => {
    const { encodings, log, release, now } = setUp(simulcast());
    const done = encodings.handleWishes([
      { rid: "q", active: true },
      { rid: "h", active: false },
      { rid: "f", active: false },
    ]);
    await release();
    await done;
    expect(log).toEqual(["q1 h0 f0"]);
    expect(now().encodings).toEqual([
      { rid: "q", active: true, maxBitrate: 1_000 },
      { rid: "h", active: false, maxBitrate: 1_000 },
      { rid: "f", active: false, maxBitrate: 1_000 },
    ]);
    void encodings.handleWishes([]);
    await release();
    expect(log).toEqual(["q1 h0 f0", "q1 h1 f1"]);
  });

  test("changes follow each other, and of those that wait only the last counts", async () => {
    const { encodings, log, release } = setUp(simulcast());
    const only = (rid: string) => simulcast().map((e) => ({ rid: e.rid, active: e.rid === rid }));
    void encodings.handleWishes(only("q"));
    void encodings.handleWishes(only("h"));
    const last = encodings.handleWishes(only("f"));
    await settle();
    expect(log).toEqual(["q1 h0 f0"]);
    await release();
    expect(log).toEqual(["q1 h0 f0", "q0 h0 f1"]);
    await release();
    await last;
    await encodings.handleWishes(only("f"));
    expect(log).toHaveLength(2);
  });

  test("one encoding has no name", async () => {
    const { encodings, log, release } = setUp([{ active: true }]);
    void encodings.handleWishes([{ rid: "", active: false }]);
    await release();
    expect(log).toEqual(["-0"]);
  });
});
