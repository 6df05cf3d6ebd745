// The server under test, and what stands around it.
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { createServer as createHttpServer, request } from "node:http";
import { connect, createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { fileURLToPath } from "node:url";
import { startProcess } from "./process.mjs";

/** The program under test. */
export const BINARY =
  process.env.ROUNDTABLE_BIN ?? fileURLToPath(new URL("../../../target/release/roundtable", import.meta.url));

/**
 * Starts the server on ports of its own, or on those of one that has ended.
 * @param {string[]} [flags]
 * @param {{ http: string, udp: number }} [ports]
 */
export async function startServer(flags = [], ports = { http: "0", udp: 0 }) {
  const args = ["--http-listen", `127.0.0.1:${ports.http}`, "--udp-port", `${ports.udp}`, ...flags];
  const server = await startProcess(BINARY, args, /(https?:\/\/[^\s"]+?\/?)\s+media UDP (\d+)/);
  const url = new URL(server.match[1] ?? "");
  return {
    ...server,
    url,
    /** Where media goes. */
    mediaPort: Number(server.match[2]),
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
export async function freePort() {
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
 * A TCP proxy in front of the server, whose cable can be pulled, or lead nowhere.
 * @param {URL} target
 */
export async function startProxy(target) {
  /** @typedef {{ client: import("node:net").Socket, upstream: import("node:net").Socket }} Pair */
  /** @type {Set<Pair>} */
  const pairs = new Set();
  let isCut = false;
  let isFrozen = false;
  /** @param {Pair} pair */
  const join = ({ client, upstream }) => void client.pipe(upstream).pipe(client);
  /** @param {Pair} pair */
  const part = ({ client, upstream }) => {
    client.unpipe().pause();
    upstream.unpipe().pause();
  };
  const proxy = createServer((client) => {
    if (isCut) {
      client.destroy();
      return;
    }
    const pair = { client, upstream: connect(Number(target.port), target.hostname) };
    pairs.add(pair);
    for (const socket of [pair.client, pair.upstream]) {
      socket.on("close", () => {
        pairs.delete(pair);
        pair.client.destroy();
        pair.upstream.destroy();
      });
      socket.on("error", () => socket.destroy());
    }
    if (isFrozen) part(pair);
    else join(pair);
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = proxy.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const destroyAll = () => {
    for (const { client } of pairs) client.destroy();
  };
  return {
    url: new URL(`http://127.0.0.1:${address.port}/`),
    /** Connections break, and new ones are refused. */
    cut() {
      isCut = true;
      destroyAll();
    },
    restore() {
      isCut = false;
    },
    /** Connections stand, and nothing gets through. */
    freeze() {
      isFrozen = true;
      pairs.forEach(part);
    },
    thaw() {
      isFrozen = false;
      pairs.forEach(join);
    },
    stop() {
      destroyAll();
      proxy.close();
    },
  };
}

/**
 * An HTTP proxy in front of the server, as some offices have it: it upgrades nothing, and may break streams of events.
 * @param {URL} target
 * @param {{ streams: boolean }} lets
 */
export async function startRequestProxy(target, lets) {
  let refused = 0;
  const proxy = createHttpServer((from, answer) => {
    if (!lets.streams && from.headers.accept === "text/event-stream") {
      answer.writeHead(502).end("no streams");
      return;
    }
    const { method = "GET", headers, url = "/" } = from;
    const upstream = request(new URL(url, target), { method, headers }, (reply) => {
      answer.writeHead(reply.statusCode ?? 502, reply.headers);
      reply.pipe(answer);
    });
    upstream.on("error", () => answer.destroy());
    answer.on("close", () => upstream.destroy());
    from.pipe(upstream);
  });
  proxy.on("upgrade", (_, socket) => {
    refused += 1;
    socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", () => resolve(undefined)));
  const address = proxy.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: new URL(`http://127.0.0.1:${address.port}/`),
    /** How many upgrades were refused. */
    refused: () => refused,
    stop() {
      proxy.closeAllConnections();
      proxy.close();
    },
  };
}

/**
 * A UDP proxy in front of the server's media port, which can swallow everything.
 * @param {number} target the server's port on this machine
 */
export async function startDatagramProxy(target) {
  const front = createSocket("udp4");
  /** One socket towards the server for each address of a client. @type {Map<string, import("node:dgram").Socket>} */
  const backs = new Map();
  let isFrozen = false;
  front.on("message", (data, { address, port }) => {
    if (isFrozen) return;
    const key = `${address}:${port}`;
    let back = backs.get(key);
    if (back === undefined) {
      back = createSocket("udp4");
      backs.set(key, back);
      back.on("message", (answer) => {
        if (!isFrozen) front.send(answer, port, address);
      });
      back.on("error", () => {});
    }
    back.send(data, target, "127.0.0.1");
  });
  await new Promise((resolve) => front.bind(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = front.address();
  return {
    /** Makes a page reach the server by this proxy alone. */
    script: `{
      const set = RTCPeerConnection.prototype.setRemoteDescription;
      const line = /^a=candidate:(\\S+) 1 udp (\\d+) \\S+ \\d+ (.*)$/gim;
      RTCPeerConnection.prototype.setRemoteDescription = function (answer) {
        const sdp = answer.sdp.replace(line, "a=candidate:$1 1 udp $2 127.0.0.1 ${port} $3");
        return set.call(this, { type: answer.type, sdp });
      };
    }`,
    freeze() {
      isFrozen = true;
    },
    thaw() {
      isFrozen = false;
    },
    stop() {
      for (const socket of [front, ...backs.values()]) socket.close();
    },
  };
}
