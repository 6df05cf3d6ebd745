// What lies under a call: the peer connection of a page, and how it reaches the server.

/** Notes every peer connection that a page makes; a script for it. */
export const COUNT_CONNECTIONS = `{
  window.connections = [];
  const Made = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Made {
    constructor(...given) {
      super(...given);
      window.connections.push(this);
    }
  };
}`;

/**
 * What is the same as long as a connection is: the ICE pair, both certificates, what encrypts, and the SSRCs that are sent.
 * `made` counts the connections that the page ever made, of which the room must have the last.
 * @param {import("./guest.mjs").Guest} guest with {@link COUNT_CONNECTIONS}
 */
export function transportOf(guest) {
  return guest.evaluate(async () => {
    const connection = window.roundtable.room.peerConnection;
    if (connection === null) throw new Error("there is no connection");
    /** @type {Map<string, Record<string, unknown>>} */
    const reports = new Map();
    (await connection.getStats()).forEach((/** @type {Record<string, unknown>} */ report) => {
      reports.set(String(report.id), report);
    });
    const all = [...reports.values()];
    const transport = all.find(({ type }) => type === "transport");
    /** @param {unknown} id */
    const fingerprint = (id) => String(reports.get(String(id))?.fingerprint ?? "");
    return {
      made: window.connections.length,
      isLast: window.connections.at(-1) === connection,
      pair: String(transport?.selectedCandidatePairId ?? ""),
      local: fingerprint(transport?.localCertificateId),
      remote: fingerprint(transport?.remoteCertificateId),
      dtlsState: String(transport?.dtlsState ?? ""),
      srtpCipher: String(transport?.srtpCipher ?? ""),
      ssrcs: all
        .filter(({ type }) => type === "outbound-rtp")
        .map(({ ssrc }) => Number(ssrc))
        .sort((a, b) => a - b),
    };
  });
}

/**
 * Messages over the channel of that label which is open now. @param {import("./guest.mjs").Guest} guest @param {string} label
 */
export function trafficOf(guest, label) {
  return guest.evaluate(async (wanted) => {
    const found = { open: 0, sent: 0, received: 0 };
    const stats = await window.roundtable.room.peerConnection?.getStats();
    stats?.forEach((/** @type {Record<string, unknown>} */ report) => {
      if (report.type !== "data-channel" || report.label !== wanted || report.state !== "open") return;
      found.open += 1;
      found.sent += Number(report.messagesSent);
      found.received += Number(report.messagesReceived);
    });
    return found;
  }, label);
}

/** Which encodings of the camera are on, smallest first. @param {import("./guest.mjs").Guest} guest */
export function encodingsOf(guest) {
  return guest.evaluate(() => {
    const senders = window.roundtable.room.peerConnection?.getSenders() ?? [];
    const camera = senders.find(({ track }) => track?.kind === "video");
    return camera?.getParameters().encodings.map(({ active }) => active) ?? [];
  });
}
