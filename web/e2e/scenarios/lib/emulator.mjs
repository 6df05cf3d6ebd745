// The network between a page and the server: crates/linkemu as a process, its commands and its table.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startProcess } from "../../lib/process.mjs";

const BINARY =
  process.env.LINKEMU_BIN ??
  fileURLToPath(new URL("../../../../target/release/roundtable-linkemu", import.meta.url));
/** How long the emulator may take to obey. */
const ANSWER_MS = 2_000;

/** @typedef {import("./figures.mjs").LinkRow} LinkRow */

/**
 * Starts links to a UDP server on this machine.
 * @param {{ port: number, links?: number, seed?: number, listen?: string }} options
 */
export async function startEmulator({ port, links = 1, seed = 1, listen = "127.0.0.1" }) {
  const folder = await mkdtemp(join(tmpdir(), "roundtable-links-"));
  const table = join(folder, "links.csv");
  const numbers = ["--links", String(links), "--seed", String(seed), "--listen", listen];
  const args = ["--server", `127.0.0.1:${port}`, ...numbers, "--csv", table];
  const emulator = await startProcess(BINARY, args, /^control 127\.0\.0\.1:(\d+)$/);
  const control = Number(emulator.match[1]);
  const fronts = emulator.output.flatMap(
    (line) => /^link \d+ (\S+):(\d+) to/.exec(line)?.slice(1, 3).join(" ") ?? [],
  );
  /** @param {string} line */
  const tell = async (line) => {
    const socket = createSocket("udp4");
    try {
      socket.send(line, control, "127.0.0.1");
      const [answer] = await once(socket, "message", { signal: AbortSignal.timeout(ANSWER_MS) });
      const time = /^ok (\d+)$/.exec(String(answer))?.[1];
      if (time === undefined) throw new Error(`${line}: ${answer}`);
      return Number(time);
    } finally {
      socket.close();
    }
  };
  const offset = Date.now() - (await tell("time"));
  return {
    /** Address and port of each link, as candidates have them. */
    fronts,
    /**
     * Changes a link; gives when, by `Date.now()`.
     * @param {number} link @param {"up" | "down" | "both"} which @param {string} settings such as `rate=300k loss=5`
     */
    set: async (link, which, settings) => offset + (await tell(`link ${link} ${which} ${settings}`)),
    /** One direction's table so far, its times by `Date.now()`. @param {number} link @param {"up" | "down"} direction */
    async rows(link, direction) {
      const [, ...lines] = (await readFile(table, "utf8")).split("\n");
      return lines.flatMap((line) => {
        const row = line.split(",");
        if (row.length !== 11 || Number(row[1]) !== link || row[2] !== direction) return [];
        const [time = 0, , , , bytesIn = 0, , bytesOut = 0, dropped = 0, lost = 0, queueMs = 0] =
          row.map(Number);
        return [{ at: offset + time, bytesIn, bytesOut, dropped, lost, queueMs }];
      });
    },
    async stop() {
      await emulator.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
