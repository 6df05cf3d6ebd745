// Somebody in front of the application: does what people do, sees what people see.
import { sleep, until } from "./wait.mjs";

/**
 * What both drivers can do.
 * @typedef {object} Driver
 * @property {(url: string) => Promise<void>} goto
 * @property {<Result, Argument>(fn: (argument: Argument) => Result | Promise<Result>, argument?: Argument) => Promise<Result>} evaluate
 * @property {() => Promise<void>} close
 */

export class Guest {
  /** Console errors of the page. @type {string[]} */
  faults = [];

  /** @param {string} name @param {Driver} driver */
  constructor(name, driver) {
    this.name = name;
    this.driver = driver;
  }

  /**
   * Runs a function in the page.
   * @template Result, Argument
   * @param {(argument: Argument) => Result | Promise<Result>} fn
   * @param {Argument} [argument]
   * @returns {Promise<Result>}
   */
  evaluate(fn, argument) {
    return this.driver.evaluate(fn, argument);
  }

  /** Opens the lobby and waits until the devices are open, or refused. @param {string} url */
  async open(url) {
    await this.driver.goto(url);
    await until(`${this.name}'s lobby is ready`, () =>
      this.evaluate(
        () =>
          document.querySelector("fieldset:disabled") === null &&
          document.querySelector(".preview video, .problem") !== null,
      ),
    );
  }

  /** Writes the name and presses join. */
  async pressJoin() {
    await this.evaluate((name) => {
      const field = /** @type {HTMLInputElement} */ (document.querySelector("input[name=name]"));
      field.value = name;
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }, this.name);
    await until(`${this.name} pressed join`, () =>
      this.evaluate(() => {
        const button = /** @type {HTMLButtonElement | null} */ (
          document.querySelector("button[type=submit]")
        );
        if (button === null || button.disabled) return false;
        button.click();
        return true;
      }),
    );
  }

  /** Goes all the way into a room. @param {string} url */
  async enter(url) {
    await this.open(url);
    await this.pressJoin();
    await until(`${this.name} is in the call`, () => this.isInCall()).catch(async (error) => {
      throw new Error(`${error.message}; page says: ${await this.text()}`);
    });
  }

  isInCall() {
    return this.evaluate(() => document.querySelector("main.call") !== null);
  }

  /** All text of the page. */
  text() {
    return this.evaluate(() => document.body.innerText);
  }

  /** Presses the button with this name. @param {string} label */
  async press(label) {
    const found = await this.evaluate((wanted) => {
      const buttons = [...document.querySelectorAll("button")];
      const button = buttons.find((b) => (b.getAttribute("aria-label") ?? b.innerText).startsWith(wanted));
      button?.click();
      return button !== undefined;
    }, label);
    if (!found) throw new Error(`${this.name} sees no button ${label}`);
  }

  /** Own member id. */
  memberId() {
    return this.evaluate(() => window.roundtable.room.localParticipant.id ?? "");
  }

  stats() {
    return this.evaluate(() => window.roundtable.stats());
  }

  /** Frames and sound by member: what arrives of the others. @returns {Promise<Map<string, { frames: number, energy: number }>>} */
  async received() {
    const stats = await this.stats();
    /** @type {Map<string, { frames: number, energy: number }>} */
    const byMember = new Map();
    for (const { member, kind, framesDecoded, totalAudioEnergy } of stats?.received ?? []) {
      if (member === undefined) continue;
      const sum = byMember.get(member) ?? { frames: 0, energy: 0 };
      if (kind === "video") sum.frames += framesDecoded;
      else sum.energy += totalAudioEnergy;
      byMember.set(member, sum);
    }
    return byMember;
  }

  /** Names on the tiles. */
  tiles() {
    return this.evaluate(() =>
      [...document.querySelectorAll(".tile")].map((tile) => ({
        member: tile.getAttribute("data-member") ?? "",
        name: tile.querySelector(".name")?.textContent ?? "",
        showsVideo: tile.querySelector("video:not(.waiting)") !== null,
      })),
    );
  }

  /** Writes into the chat panel, which must be open. @param {string} text */
  async say(text) {
    await this.evaluate((message) => {
      const field = document.querySelector("textarea");
      if (field === null) throw new Error("the chat is not open");
      field.value = message;
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
    }, text);
  }

  /** What the chat panel shows as said to a few: the line above, without the time, and the words. */
  readPrivate() {
    return this.evaluate(() =>
      [...document.querySelectorAll(".message.private:not(.queued, .sent, .failed)")].map((line) => {
        const [author, text] = [line.querySelector(".author"), line.querySelector(".text")];
        return `${author?.textContent ?? ""}: ${text?.textContent ?? ""}`;
      }),
    );
  }

  /** What the chat panel shows as taken by the server, and for everybody. */
  readChat() {
    return this.evaluate(() =>
      [...document.querySelectorAll(".message[data-seq] .text")].map((line) => line.textContent ?? ""),
    );
  }
}

/** Pictures after which a stream has begun: the first is a keyframe, which may come long before the next on a busy machine. */
const BEGUN = 5;
/** Without a picture or a sound for this long a stream is broken. Busy machines let browsers rest for two seconds. */
const BROKEN_AFTER_MS = 4_000;

/**
 * Asserts that everybody sees and hears everybody else, without a break, for a while.
 * @param {Guest[]} guests
 * @param {{ seconds?: number, step?: number }} [options]
 */
export async function expectMediaFlows(guests, { seconds = 10, step = 0.5 } = {}) {
  const ids = await Promise.all(guests.map((guest) => guest.memberId()));
  const pairs = guests.flatMap((guest, index) =>
    ids.flatMap((id, other) => (other === index ? [] : [{ guest, id, owner: guests[other] }])),
  );
  await Promise.all(
    pairs.map(({ guest, id }) =>
      until(
        `${guest.name} gets pictures and sound of ${id}`,
        async () => {
          const sum = (await guest.received()).get(id);
          return sum !== undefined && sum.frames >= BEGUN && sum.energy > 0;
        },
        { timeout: 40_000, interval: 250 },
      ),
    ),
  );
  const start = Date.now();
  const end = start + seconds * 1000;
  const streams = pairs.map((pair) => ({ ...pair, frames: 0, energy: 0, newFramesAt: 0, newEnergyAt: 0 }));
  for (;;) {
    const now = Date.now();
    const received = new Map(
      await Promise.all(guests.map(async (guest) => /** @type {const} */ ([guest, await guest.received()]))),
    );
    for (const stream of streams) {
      const sum = received.get(stream.guest)?.get(stream.id) ?? { frames: 0, energy: 0 };
      if (sum.frames > stream.frames) stream.newFramesAt = now;
      if (sum.energy > stream.energy) stream.newEnergyAt = now;
      Object.assign(stream, sum);
      if (now - Math.min(stream.newFramesAt, stream.newEnergyAt) > BROKEN_AFTER_MS)
        await complain(stream, now - start);
    }
    // What stopped shortly before the end is waited for too, until it comes or counts as broken.
    if (streams.every((s) => Math.min(s.newFramesAt, s.newEnergyAt) >= end)) return;
    await sleep(step * 1000);
  }
}

/**
 * Fails with what both ends know of a stream that stands still.
 * @param {{ guest: Guest, owner: Guest | undefined, id: string, frames: number, energy: number }} stream
 * @param {number} afterMs
 */
async function complain({ guest, owner, id, frames, energy }, afterMs) {
  const received = (await guest.stats())?.received.filter(({ member }) => member === id);
  const sent = (await owner?.stats())?.sent;
  const known = JSON.stringify({ frames, energy, received, sent });
  throw new Error(`after ${afterMs / 1000} s ${guest.name} gets nothing new of ${owner?.name}: ${known}`);
}
