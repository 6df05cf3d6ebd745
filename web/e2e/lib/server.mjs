// The server under test, and what stands around it.
import { randomBytes } from "node:crypto";
import { connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { fileURLToPath } from "node:url";
import { startProcess } from "./process.mjs";

const BINARY =
  process.env.ROUNDTABLE_BIN ?? fileURLToPath(new URL("../../../target/release/roundtable", import.meta.url));

/**
 * Starts the server on ports of its own.
 * @param {string[]} [flags]
 */
export async function startServer(flags = []) {
  const args = ["--http-listen", "127.0.0.1:0", "--udp-port", "0", ...flags];
  const server = await startProcess(BINARY, args, /(https?:\/\/[^\s"]+?\/?)\s+media UDP (\d+)/);
  const url = new URL(server.match[1] ?? "");
  return {
    ...server,
    url,
    /** @param {string} id */
    room: (id) => new URL(`r/${id}?w=320&fps=10`, url).href,
    /** @param {string} path */
    async json(path) {
      const response = await fetch(new URL(path, url));
      if (!response.ok) throw new Error(`${path}: ${response.status}`);
      return response.json();
    },
  };
}

/** An address of this machine that is not loopback, which Firefox needs; loopback if there is none. */
export function machineAddress() {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return all.find((a) => a.family === "IPv4" && !a.internal)?.address ?? "127.0.0.1";
}

/** A free port at the time of asking. */
async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}

/** Starts coturn with time-limited credentials from a shared secret. */
export async function startTurn() {
  const address = machineAddress();
  const port = await freePort();
  const secret = randomBytes(16).toString("hex");
  const process = await startProcess(
    "turnserver",
    [
      ...["-n", "--no-cli", "--no-tls", "--no-dtls", "--fingerprint", "--log-file=stdout", "--pidfile="],
      ...["--realm=roundtable.test", "--use-auth-secret", `--static-auth-secret=${secret}`],
      ...[`--listening-ip=${address}`, `--listening-port=${port}`, `--relay-ip=${address}`],
      ...["--min-port=49200", "--max-port=49400", "--allow-loopback-peers", "--verbose"],
    ],
    /listener opened on|Relay ports initialization done/i,
  );
  return { ...process, url: `turn:${address}:${port}?transport=udp`, secret };
}

/**
 * A TCP proxy in front of the server, whose cable can be pulled.
 * @param {URL} target
 */
export async function startProxy(target) {
  /** @type {Set<import("node:net").Socket>} */
  const sockets = new Set();
  let isCut = false;
  const proxy = createServer((client) => {
    if (isCut) {
      client.destroy();
      return;
    }
    const upstream = connect(Number(target.port), target.hostname);
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      socket.on("error", () => socket.destroy());
    }
    client.pipe(upstream).pipe(client);
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = proxy.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const destroyAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: new URL(`http://127.0.0.1:${address.port}/`),
    cut() {
      isCut = true;
      destroyAll();
    },
    restore() {
      isCut = false;
    },
    stop() {
      destroyAll();
      proxy.close();
    },
  };
}
