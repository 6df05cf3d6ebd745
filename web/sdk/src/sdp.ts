// Makes an offer short enough to send: the server needs a fraction of what browsers write.

/** Header extensions the server understands; all others are left out. */
const EXTENSIONS: ReadonlySet<string> = new Set([
  "urn:ietf:params:rtp-hdrext:sdes:mid",
  "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
  "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
  "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
  "urn:3gpp:video-orientation",
  "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
  "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
  "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
  "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
  "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00",
  "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension",
]);

/** Of those, what a seat has no use for: it receives one stream, chosen and measured by the server. */
const SEND_ONLY_EXTENSIONS: ReadonlySet<string> = new Set([
  "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
  "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
  "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time",
  "http://www.webrtc.org/experiments/rtp-hdrext/video-content-type",
  "http://www.webrtc.org/experiments/rtp-hdrext/video-layers-allocation00",
]);

const CODECS: ReadonlySet<string> = new Set(["vp8", "vp9", "h264", "av1", "rtx", "opus", "red"]);

/** Attributes of the bundle's one transport. Browsers repeat them in each m-section; we say them once, for the session. */
const TRANSPORT = /^a=(ice-ufrag|ice-pwd|ice-options|fingerprint|setup):/;

/** Never needed: addresses are learned from what arrives, RTCP is multiplexed and has no extended reports. */
const NEVER = /^a=(candidate:|end-of-candidates|rtcp:|rtcp-xr:|msid-semantic:)/;

function splitSections(sdp: string): string[][] {
  const sections: string[][] = [[]];
  for (const line of sdp.split(/\r?\n/)) {
    if (line === "") continue;
    if (line.startsWith("m=")) sections.push([]);
    sections.at(-1)?.push(line);
  }
  return sections;
}

function isReceiving(section: readonly string[]): boolean {
  return section.includes("a=recvonly");
}

/** Payload types of codecs we do not use, with the retransmissions that belong to them. */
function unusedPayloads(section: readonly string[]): Set<string> {
  const unused = new Set<string>();
  for (const line of section) {
    const match = /^a=rtpmap:(\d+) ([^/]+)/.exec(line);
    if (match?.[1] !== undefined && !CODECS.has((match[2] ?? "").toLowerCase())) unused.add(match[1]);
  }
  for (const line of section) {
    const match = /^a=fmtp:(\d+) apt=(\d+)/.exec(line);
    if (match?.[1] !== undefined && unused.has(match[2] ?? "")) unused.add(match[1]);
  }
  return unused;
}

function compactMediaLine(line: string, unused: ReadonlySet<string>): string {
  const [media, port, protocol, ...formats] = line.split(" ");
  return [media, port, protocol, ...formats.filter((format) => !unused.has(format))].join(" ");
}

function compactSection(section: readonly string[], transport: ReadonlySet<string>): string[] {
  const receiving = isReceiving(section);
  const unused = unusedPayloads(section);
  const estimates = new Set(section.flatMap((l) => /^a=rtcp-fb:(\d+) transport-cc/.exec(l)?.[1] ?? []));
  return section.flatMap((line) => {
    if (line.startsWith("m=")) return [compactMediaLine(line, unused)];
    if (NEVER.test(line) || transport.has(line)) return [];
    if (receiving && /^a=(ssrc|ssrc-group|msid):/.test(line)) return [];
    const extension = /^a=extmap:\d+(?:\/(\w+))? (\S+)/.exec(line);
    if (extension !== null) {
      const uri = extension[2] ?? "";
      return EXTENSIONS.has(uri) && !(receiving && SEND_ONLY_EXTENSIONS.has(uri)) ? [line] : [];
    }
    const format = /^a=(?:rtpmap|fmtp|rtcp-fb):(\d+)/.exec(line)?.[1];
    if (format !== undefined && unused.has(format)) return [];
    // With transport-wide feedback the older estimate is never used.
    if (line.endsWith(" goog-remb") && format !== undefined && estimates.has(format)) return [];
    return [line];
  });
}

/** The offer without what the server does not need. Only its text is sent; the browser keeps the whole. */
export function compactOffer(sdp: string): string {
  const [session = [], ...media] = splitSections(sdp);
  const transport = new Set(media[0]?.filter((line) => TRANSPORT.test(line)));
  const kept = [...session.filter((line) => !NEVER.test(line)), ...transport];
  const compact = media.map((section) => compactSection(section, transport));
  return [kept, ...compact].flatMap((section) => [...section, ""].join("\r\n")).join("");
}

/** Bytes of the largest pair of receiving audio and video m-sections; 0 when there is none. */
export function bytesPerSeat(compacted: string): number {
  const largest = { audio: 0, video: 0 };
  for (const section of splitSections(compacted).filter(isReceiving)) {
    const bytes = section.reduce((sum, line) => sum + line.length + 2, 0);
    const kind = section[0]?.startsWith("m=audio") ? "audio" : "video";
    largest[kind] = Math.max(largest[kind], bytes);
  }
  return largest.audio + largest.video;
}
