// What is done to a page before its own code runs, so that the product knows nothing of scenarios.

/**
 * @typedef {object} Preparation
 * @property {string} [detour] address and port of the link that leads to the server
 * @property {boolean} [watches] has no camera and no microphone
 * @property {boolean} [dense] has a screen of three pixels to a point, so that small tiles need large pictures
 * @property {string} [codec] of the camera, such as `VP9`
 * @property {string} [mode] scalability mode of one encoding, instead of simulcast
 * @property {boolean} [meter] counts what the camera's encoder makes, by layer; needs a page without a policy for workers
 * @property {boolean} [seal] encrypts every frame between the pages; needs the same
 */

/** The script that prepares a page. @param {Preparation} preparation */
export function prepared(preparation) {
  const worker = `(${transformFrames})()`;
  return `(${prepare})(${JSON.stringify(preparation)}, ${JSON.stringify(worker)});`;
}

/** Runs in the page. @param {Preparation} preparation @param {string} workerSource */
function prepare(preparation, workerSource) {
  const { detour, watches, dense, codec, mode, meter, seal } = preparation;
  /** @type {import("./figures.mjs").Layer[]} */
  const layers = [];
  Object.assign(window, { scenario: { layers, samples: [], sent: [], joinedAt: 0, firstFrameAt: 0 } });
  if (watches === true && navigator.mediaDevices !== undefined) {
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("none", "NotFoundError"));
  }

  if (dense === true) Object.defineProperty(window, "devicePixelRatio", { get: () => 3 });

  const setRemote = RTCPeerConnection.prototype.setRemoteDescription;
  /** Leaves one candidate of each section, which is the link's. @param {string} sdp */
  const lead = (sdp) => {
    let done = false;
    return sdp
      .split("\r\n")
      .flatMap((line) => {
        if (line.startsWith("m=")) done = false;
        const match = /^(a=candidate:\S+ \d+ udp \d+) \S+ \d+ typ host/i.exec(line);
        if (!line.startsWith("a=candidate:")) return [line];
        if (match === null || done) return [];
        done = true;
        return [`${match[1]} ${detour} typ host`];
      })
      .join("\r\n");
  };
  if (detour !== undefined) {
    /** @this {RTCPeerConnection} @param {RTCSessionDescriptionInit} description */
    RTCPeerConnection.prototype.setRemoteDescription = function (description) {
      /** @type {(description: RTCSessionDescriptionInit) => Promise<void>} */
      const set = setRemote.bind(this);
      return set({ type: description.type, sdp: lead(description.sdp ?? "") });
    };
  }

  const setCodecs = RTCRtpTransceiver.prototype.setCodecPreferences;
  if (codec !== undefined) {
    /** @this {RTCRtpTransceiver} @param {RTCRtpCodec[]} codecs */
    RTCRtpTransceiver.prototype.setCodecPreferences = function (codecs) {
      const isCamera = this.direction === "sendonly" && this.receiver.track.kind === "video";
      const wanted = [`video/${codec}`.toLowerCase(), "video/rtx"];
      const chosen = codecs.filter(({ mimeType }) => wanted.includes(mimeType.toLowerCase()));
      setCodecs.call(this, isCamera ? chosen : codecs);
    };
  }

  const worker =
    meter === true || seal === true
      ? new Worker(URL.createObjectURL(new Blob([workerSource], { type: "text/javascript" })))
      : null;
  worker?.addEventListener("message", ({ data }) => layers.splice(0, layers.length, ...data));
  const add = RTCPeerConnection.prototype.addTransceiver;
  /** @this {RTCPeerConnection} @param {MediaStreamTrack | string} track @param {RTCRtpTransceiverInit} [init] */
  RTCPeerConnection.prototype.addTransceiver = function (track, init = {}) {
    const encodings = init.sendEncodings ?? [];
    const maxBitrate = encodings.reduce((sum, encoding) => sum + (encoding.maxBitrate ?? 0), 0);
    const one = mode !== undefined && encodings.length > 1;
    const changed = one ? { ...init, sendEncodings: [{ maxBitrate, scalabilityMode: mode }] } : init;
    const transceiver = add.call(this, track, changed);
    if (worker !== null) {
      const kind = transceiver.receiver.track.kind;
      const end = init.direction === "recvonly" ? transceiver.receiver : transceiver.sender;
      const role = init.direction === "recvonly" ? "open" : "seal";
      if (seal === true || (role === "seal" && kind === "video")) {
        end.transform = new RTCRtpScriptTransform(worker, { role, kind, seal: seal === true });
      }
    }
    return transceiver;
  };
}

/** Runs in a worker: counts frames by layer, and seals or opens them with AES-GCM if asked to. */
function transformFrames() {
  /** In the clear, so that the server and the packetizer see what they must: RFC 6386 §9.1, Opus' TOC. */
  const CLEAR = { key: 10, delta: 3, audio: 1 };
  const IV_BYTES = 12;
  /** @type {Map<string, import("./figures.mjs").Layer>} */
  const layers = new Map();
  const key = crypto.subtle.importKey("raw", new Uint8Array(16).fill(7), "AES-GCM", false, [
    "encrypt",
    "decrypt",
  ]);
  let counter = 0;

  /** @param {RTCEncodedVideoFrame} frame */
  const count = (frame) => {
    const data =
      /** @type {{ synchronizationSource?: number, spatialIndex?: number, temporalIndex?: number }} */ (
        frame.getMetadata()
      );
    const { synchronizationSource, spatialIndex: spatial = 0, temporalIndex: temporal = 0 } = data;
    const stream = String(synchronizationSource);
    const name = `${stream}/${spatial}/${temporal}`;
    const layer = layers.get(name) ?? { stream, spatial, temporal, frames: 0, bytes: 0 };
    layer.frames += 1;
    layer.bytes += frame.data.byteLength;
    layers.set(name, layer);
  };

  /** @param {RTCEncodedVideoFrame | RTCEncodedAudioFrame} frame @param {string} kind */
  const clearOf = (frame, kind) =>
    kind === "audio" ? CLEAR.audio : "type" in frame && frame.type === "key" ? CLEAR.key : CLEAR.delta;

  /** @param {RTCEncodedVideoFrame | RTCEncodedAudioFrame} frame @param {string} kind */
  const sealFrame = async (frame, kind) => {
    const clear = clearOf(frame, kind);
    const plain = new Uint8Array(frame.data);
    const iv = new Uint8Array(IV_BYTES);
    crypto.getRandomValues(iv.subarray(0, 8));
    counter += 1;
    new DataView(iv.buffer).setUint32(8, counter);
    const secret = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, await key, plain.slice(clear));
    const sealed = new Uint8Array(clear + secret.byteLength + IV_BYTES);
    sealed.set(plain.subarray(0, clear));
    sealed.set(new Uint8Array(secret), clear);
    sealed.set(iv, clear + secret.byteLength);
    frame.data = sealed.buffer;
  };

  /** @param {RTCEncodedVideoFrame | RTCEncodedAudioFrame} frame @param {string} kind */
  const openFrame = async (frame, kind) => {
    const clear = clearOf(frame, kind);
    const sealed = new Uint8Array(frame.data);
    const iv = sealed.slice(-IV_BYTES);
    const plain = await crypto.subtle.decrypt(
      { name: "AES-GCM", iv },
      await key,
      sealed.slice(clear, -IV_BYTES),
    );
    const opened = new Uint8Array(clear + plain.byteLength);
    opened.set(sealed.subarray(0, clear));
    opened.set(new Uint8Array(plain), clear);
    frame.data = opened.buffer;
  };

  addEventListener("rtctransform", (event) => {
    const { transformer } = /** @type {Event & { transformer: any }} */ (event);
    const { role, kind, seal } = transformer.options;
    const transform = new TransformStream({
      async transform(frame, controller) {
        if (role === "seal" && kind === "video") count(frame);
        try {
          if (seal) await (role === "seal" ? sealFrame(frame, kind) : openFrame(frame, kind));
          controller.enqueue(frame);
        } catch {
          // A frame that does not open is not shown: the decoder asks for a key frame.
        }
      },
    });
    void transformer.readable.pipeThrough(transform).pipeTo(transformer.writable);
  });
  setInterval(() => postMessage([...layers.values()]), 250);
}

/** Runs in the page: begins to note four times a second what getStats says. */
export function watch() {
  const { scenario, roundtable } = window;
  /** @param {number | undefined} value */
  const or0 = (value) => value ?? 0;
  const look = async () => {
    const connection = roundtable.room.peerConnection;
    if (connection === null || connection === undefined) return;
    const at = Date.now();
    /** @type {Record<string, any>[]} */
    const reports = [];
    (await connection.getStats()).forEach((/** @type {Record<string, any>} */ report) => {
      reports.push(report);
    });
    const streams = (/** @type {string} */ kind) =>
      reports
        .filter((r) => r.type === "inbound-rtp" && r.kind === kind)
        .sort((a, b) => or0(b.bytesReceived) - or0(a.bytesReceived));
    const [video = {}, ...others] = streams("video");
    const [audio = {}] = streams("audio");
    scenario.samples.push({
      at,
      height: or0(video.frameHeight),
      frames: or0(video.framesDecoded),
      keyFrames: or0(video.keyFramesDecoded),
      freezes: or0(video.freezeCount),
      frozenS: or0(video.totalFreezesDuration),
      videoBytes: or0(video.bytesReceived) - or0(video.retransmittedBytesReceived),
      nacks: or0(video.nackCount),
      plis: or0(video.pliCount),
      concealed: or0(audio.concealedSamples) - or0(audio.silentConcealedSamples),
      samples: or0(audio.totalSamplesReceived),
      otherFrames: others.reduce((sum, r) => sum + or0(r.framesDecoded), 0),
      otherFreezes: others.reduce((sum, r) => sum + or0(r.freezeCount), 0),
    });
    scenario.sent.push({
      at,
      encodings: reports
        .filter((r) => r.type === "outbound-rtp" && r.kind === "video")
        .map((r) => ({
          rid: String(r.rid ?? ""),
          ssrc: or0(r.ssrc),
          height: or0(r.frameHeight),
          frames: or0(r.framesEncoded),
          keyFrames: or0(r.keyFramesEncoded),
          bytes: or0(r.bytesSent),
          qpSum: or0(r.qpSum),
          limitation: String(r.qualityLimitationReason ?? ""),
        })),
      layers: scenario.layers.map((layer) => ({ ...layer })),
    });
  };
  setInterval(() => void look().catch(() => {}), 250); // SAMPLE_MS: a page cannot import it.
}

/** Runs in the lobby: notes when join was pressed, and when the first picture of somebody else was shown. */
export function awaitFirstFrame() {
  const { scenario } = window;
  const button = document.querySelector("button[type=submit]");
  button?.addEventListener("click", () => {
    scenario.joinedAt = Date.now();
  });
  const timer = setInterval(() => {
    // A picture is hidden until it is the right person's, and who watches has none of his own.
    if (document.querySelector(".tile video:not(.waiting)") === null) return;
    scenario.firstFrameAt = Date.now();
    clearInterval(timer);
  }, 20);
}
