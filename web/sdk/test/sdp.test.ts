import { describe, expect, test } from "vitest";
import { bytesPerSeat, compactOffer } from "../src/sdp.ts";

const TRANSPORT = [
  "a=ice-ufrag:abcd",
  "a=ice-pwd:0123456789012345678901",
  "a=ice-options:trickle",
  "a=fingerprint:sha-256 AA:BB",
  "a=setup:actpass",
];

function offer(...sections: string[][]): string {
  const session = [
    "v=0",
    "o=- 1 2 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
    "a=group:BUNDLE 0 1",
    "a=msid-semantic: WMS",
  ];
  return `${[session, ...sections].flat().join("\r\n")}\r\n`;
}

const CAMERA = [
  "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 116",
  "c=IN IP4 0.0.0.0",
  "a=rtcp:9 IN IP4 0.0.0.0",
  "a=candidate:1 1 udp 2122260223 192.0.2.1 50000 typ host",
  ...TRANSPORT,
  "a=mid:0",
  "a=extmap:1 urn:ietf:params:rtp-hdrext:toffset",
  "a=extmap:2/sendonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
  "a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
  "a=sendonly",
  "a=msid:- cam",
  "a=rtcp-mux",
  "a=rtpmap:96 VP8/90000",
  "a=rtcp-fb:96 goog-remb",
  "a=rtcp-fb:96 transport-cc",
  "a=rtcp-fb:96 nack pli",
  "a=rtpmap:97 rtx/90000",
  "a=fmtp:97 apt=96",
  "a=rtpmap:98 H265/90000",
  "a=rtcp-fb:98 nack pli",
  "a=fmtp:98 level-id=93",
  "a=rtpmap:99 rtx/90000",
  "a=fmtp:99 apt=98",
  "a=rtpmap:116 ulpfec/90000",
  "a=rid:q send",
  "a=simulcast:send q",
  "a=ssrc-group:FID 1 2",
];

const SEAT = [
  "m=video 9 UDP/TLS/RTP/SAVPF 96",
  ...TRANSPORT,
  "a=mid:1",
  "a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
  "a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid",
  "a=recvonly",
  "a=rtpmap:96 VP8/90000",
  "a=rtcp-fb:96 goog-remb",
  "a=ssrc:5 cname:x",
];

describe("compacting an offer", () => {
  const compact = compactOffer(offer(CAMERA, SEAT)).split("\r\n");

  test("leaves what the server answers to", () => {
    for (const line of [
      "a=group:BUNDLE 0 1",
      "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
      "a=mid:0",
      "a=extmap:2/sendonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
      "a=rtcp-fb:96 transport-cc",
      "a=rtcp-fb:96 nack pli",
      "a=fmtp:97 apt=96",
      "a=rid:q send",
      "a=simulcast:send q",
      "a=ssrc-group:FID 1 2",
      "a=mid:1",
      "a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid",
    ]) {
      expect(compact).toContain(line);
    }
    expect(compact.at(-1)).toBe("");
  });

  test("drops candidates, unknown extensions and codecs, and what belongs to them", () => {
    const text = compact.join("\n");
    for (const word of [
      "candidate",
      "a=rtcp:",
      "toffset",
      "H265",
      "apt=98",
      "ulpfec",
      "fb:98",
      "msid-semantic",
    ]) {
      expect(text).not.toContain(word);
    }
  });

  test("drops the older bandwidth estimate only beside the newer", () => {
    expect(compact.filter((line) => line === "a=rtcp-fb:96 goog-remb")).toHaveLength(1);
  });

  test("says the transport once, for the session, and nothing of sending in a seat", () => {
    for (const line of TRANSPORT) {
      expect(compact.filter((other) => other === line)).toHaveLength(1);
      expect(compact.indexOf(line)).toBeLessThan(compact.findIndex((other) => other.startsWith("m=")));
    }
    expect(compact.filter((line) => line.includes("rtp-stream-id"))).toHaveLength(1);
    expect(compact).not.toContain("a=ssrc:5 cname:x");
  });

  test("keeps a section's own transport where it differs", () => {
    const other = SEAT.map((line) => (line.startsWith("a=setup") ? "a=setup:active" : line));
    expect(compactOffer(offer(CAMERA, other)).split("\r\n")).toContain("a=setup:active");
  });

  test("measures a seat as its largest audio and video", () => {
    const audio = ["m=audio 9 x 1", "a=recvonly"];
    const small = ["m=video 9 x 1", "a=recvonly"];
    const large = ["m=video 9 x 1", "a=recvonly", "a=mid:100"];
    const bytes = (lines: string[]) => lines.join("\r\n").length + 2;
    expect(bytesPerSeat(compactOffer(offer(CAMERA, audio, small, audio, large)))).toBe(
      bytes(audio) + bytes(large),
    );
    expect(bytesPerSeat(compactOffer(offer(CAMERA)))).toBe(0);
  });
});
