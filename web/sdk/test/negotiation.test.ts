import { describe, expect, test } from "vitest";
import { RoundtableError } from "../src/errors.ts";
import { Negotiation } from "../src/negotiation.ts";
import { FakeConnection, settle } from "./fakes.ts";

interface Held {
  answer(): void;
  refuse(): void;
}

function setUp() {
  const connection = new FakeConnection({});
  connection.addTransceiver("audio", { direction: "recvonly" });
  const held: Held[] = [];
  let prepared = 0;
  const negotiation = new Negotiation(connection as unknown as RTCPeerConnection, {
    prepare: () => {
      prepared += 1;
    },
    describe: () => [],
    exchange: () =>
      new Promise((resolve, reject) => {
        held.push({
          answer: () => resolve({ sdp: "answer", tracks: [] }),
          refuse: () => reject(new RoundtableError("sdp/unsupported", "no")),
        });
      }),
    answered: () => {},
  });
  return { connection, held, negotiation, prepared: () => prepared };
}

describe("negotiation", () => {
  test("many wishes during one offer become one further offer", async () => {
    const { connection, held, negotiation, prepared } = setUp();
    const first = negotiation.negotiate();
    await settle();
    const second = negotiation.negotiate();
    const third = negotiation.negotiate({ iceRestart: true });
    const fourth = negotiation.negotiate();
    await settle();
    expect(connection.offers).toHaveLength(1);

    held[0]?.answer();
    await first;
    await settle();
    expect(connection.offers).toHaveLength(2);
    expect(connection.offers[1]).toEqual({ iceRestart: true });

    held[1]?.answer();
    await Promise.all([second, third, fourth]);
    await settle();
    expect(connection.offers).toHaveLength(2);
    expect(prepared()).toBe(2);
  });

  test("a wish is not fulfilled by the offer that was made before it", async () => {
    const { held, negotiation } = setUp();
    void negotiation.negotiate();
    await settle();
    let done = false;
    void negotiation.negotiate().then(() => {
      done = true;
    });
    held[0]?.answer();
    await settle();
    expect(done).toBe(false);
    held[1]?.answer();
    await settle();
    expect(done).toBe(true);
  });

  test("a refused offer is rolled back, told, and does not stop the next", async () => {
    const { connection, held, negotiation } = setUp();
    const first = negotiation.negotiate();
    await settle();
    const second = negotiation.negotiate();
    held[0]?.refuse();
    await expect(first).rejects.toMatchObject({ code: "sdp/unsupported" });
    await settle();
    expect(connection.rollbacks).toBe(1);
    held[1]?.answer();
    await expect(second).resolves.toBeUndefined();
  });

  test("an offer whose answer is lost is made again, the same, when there is a way again", async () => {
    const { connection, held, negotiation } = setUp();
    const first = negotiation.negotiate();
    await settle();
    negotiation.hold();
    held[0]?.refuse();
    await settle();
    const second = negotiation.negotiate();
    await settle();
    expect(held).toHaveLength(1);
    negotiation.resume();
    await settle();
    expect(held).toHaveLength(2);
    // Another offer would name other m-lines, and the server may know those of the first.
    expect(connection.offers).toHaveLength(1);
    expect(connection.rollbacks).toBe(0);
    held[1]?.answer();
    await first;
    await settle();
    held[2]?.answer();
    await expect(second).resolves.toBeUndefined();
  });

  test("what is held and then closed is refused", async () => {
    const { negotiation } = setUp();
    negotiation.hold();
    const waiting = negotiation.negotiate();
    await settle();
    negotiation.close();
    await expect(waiting).rejects.toMatchObject({ code: "sdk/closed" });
  });

  test("an answer that comes after closing is not used", async () => {
    const { connection, held, negotiation } = setUp();
    const first = negotiation.negotiate();
    await settle();
    negotiation.close();
    held[0]?.answer();
    await expect(first).rejects.toMatchObject({ code: "sdk/closed" });
    expect(connection.currentRemoteDescription).toBeNull();
    await expect(negotiation.negotiate()).rejects.toMatchObject({ code: "sdk/closed" });
  });
});
