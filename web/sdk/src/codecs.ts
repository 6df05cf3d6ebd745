// Which codecs we use, in which order, and how a camera is encoded.

const VIDEO_ORDER = ["video/vp8", "video/vp9", "video/h264", "video/av1", "video/rtx"] as const;
const AUDIO_ORDER = ["audio/opus", "audio/red"] as const;

function parameter(codec: RTCRtpCodec, name: string): string | undefined {
  for (const part of (codec.sdpFmtpLine ?? "").split(";")) {
    const [key, value] = part.split("=");
    if (key?.trim().toLowerCase() === name) return value?.trim().toLowerCase();
  }
  return undefined;
}

function isUsed(codec: RTCRtpCodec): boolean {
  switch (codec.mimeType.toLowerCase()) {
    case "video/vp9":
      return (parameter(codec, "profile-id") ?? "0") === "0";
    case "video/h264":
      return (
        parameter(codec, "profile-level-id") === "42e01f" && parameter(codec, "packetization-mode") === "1"
      );
    case "video/av1":
      return (parameter(codec, "profile") ?? "0") === "0";
    default:
      return true;
  }
}

/** Of what the browser can do, that which the server forwards, best first: VP8, VP9, H.264, AV1; Opus, RED. */
export function preferredCodecs(kind: "audio" | "video", available: readonly RTCRtpCodec[]): RTCRtpCodec[] {
  const order: readonly string[] = kind === "video" ? VIDEO_ORDER : AUDIO_ORDER;
  return order.flatMap((mime) => available.filter((c) => c.mimeType.toLowerCase() === mime && isUsed(c)));
}

/** Narrows a transceiver to {@link preferredCodecs}; where the browser will not have it, its default stays. */
export function preferCodecs(transceiver: RTCRtpTransceiver, codecs: RTCRtpCodec[]): void {
  if (codecs.length === 0) return;
  try {
    transceiver.setCodecPreferences(codecs);
  } catch {
    // Not there, or refused for this direction: the offer is longer, nothing else changes.
  }
}

/**
 * Pixel rows from which a camera is worth 2, and 3, encodings. Chromium has these bounds built in and, given more
 * encodings, would send the small ones and leave out the large.
 */
const TWO_LAYERS_FROM = 270;
const THREE_LAYERS_FROM = 540;

const LAYERS = [
  { rid: "q", scaleResolutionDownBy: 4 },
  { rid: "h", scaleResolutionDownBy: 2 },
  { rid: "f", scaleResolutionDownBy: 1 },
] as const;

/** Bits a second that `rows` rows of camera are worth: 1.7 M at 720, 0.5 M at 360, 0.15 M at 180. */
function worth(rows: number): number {
  return Math.max(40_000, Math.round((1_700_000 * (rows / 720) ** 1.76) / 10_000) * 10_000);
}

/**
 * Encodings of a camera of `height` rows (unknown: as if large): quarter, half, full. Each is bounded by what its size
 * is worth: browsers begin the next larger one only when there is bandwidth beyond the bounds of the smaller.
 * `temporal` adds three temporal layers, where the browser knows `scalabilityMode`.
 */
export function cameraEncodings(height: number | undefined, temporal: boolean): RTCRtpEncodingParameters[] {
  const rows = height ?? 720;
  const count = rows >= THREE_LAYERS_FROM ? 3 : rows >= TWO_LAYERS_FROM ? 2 : 1;
  const layers = LAYERS.slice(LAYERS.length - count);
  return layers.map((layer) => ({
    ...(count === 1 ? {} : layer),
    maxBitrate: worth(rows / layer.scaleResolutionDownBy),
    ...(temporal ? { scalabilityMode: "L1T3" } : {}),
  }));
}

/** The one encoding of a shared screen; `temporal` as for cameras. */
export function screenEncodings(temporal: boolean): RTCRtpEncodingParameters[] {
  return [{ maxBitrate: 2_500_000, ...(temporal ? { scalabilityMode: "L1T3" } : {}) }];
}
