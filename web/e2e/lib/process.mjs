// Child processes: started, read line by line, and always ended.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/**
 * Starts a program and waits for a line of its output.
 * @param {string} file
 * @param {string[]} args
 * @param {RegExp} ready
 * @param {{ timeout?: number, env?: NodeJS.ProcessEnv }} [options]
 */
export async function startProcess(file, args, ready, { timeout = 20_000, env = process.env } = {}) {
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"], env });
  /** @type {string[]} */
  const output = [];
  /** @type {Promise<void>} */
  const exited = new Promise((resolve) => child.once("exit", () => resolve()));
  /** @type {RegExpExecArray} */
  const match = await new Promise((resolve, reject) => {
    const fail = (/** @type {string} */ why) =>
      reject(new Error(`${file} ${why}:\n${output.slice(-30).join("\n")}`));
    const timer = setTimeout(() => fail(`said nothing like ${ready} in time`), timeout);
    child.once("error", (error) => fail(error.message));
    child.once("exit", (code) => fail(`ended with ${code}`));
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: colours of a terminal are control characters.
        const plain = line.replace(/\u001b\[[0-9;]*m/g, "");
        output.push(plain);
        const found = ready.exec(plain);
        if (found === null) return;
        clearTimeout(timer);
        resolve(found);
      });
    }
  }).catch((error) => {
    child.kill("SIGKILL");
    throw error;
  });
  return {
    match,
    output,
    pid: child.pid,
    /** Ends it without a word. */
    async kill() {
      child.kill("SIGKILL");
      await exited;
    },
    async stop() {
      child.kill("SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), 5_000);
      await exited;
      clearTimeout(timer);
    },
  };
}
