// What the browser measured, reduced to what one wants to know.
import type { MemberId, SlotOwner, TrackId } from "./protocol.ts";

/** One received stream. */
export interface ReceivedStats {
  readonly mid: string;
  readonly kind: string;
  /** Whose it is now; absent while the slot is idle. */
  readonly member?: MemberId;
  readonly track?: TrackId;
  readonly packetsReceived: number;
  readonly packetsLost: number;
  readonly bytesReceived: number;
  readonly framesDecoded: number;
  readonly freezeCount: number;
  readonly totalAudioEnergy: number;
  readonly width: number;
  readonly height: number;
  readonly codec: string;
}

/** One sent encoding. */
export interface SentStats {
  readonly mid: string;
  readonly kind: string;
  readonly rid: string;
  readonly packetsSent: number;
  readonly bytesSent: number;
  readonly framesEncoded: number;
  readonly codec: string;
}

/** A look at a peer connection. */
export interface ConnectionStats {
  readonly connectionState: RTCPeerConnectionState;
  readonly dtlsState: string;
  readonly srtpCipher: string;
  readonly dtlsCipher: string;
  /** `host`, `srflx`, `prflx` or `relay`: how this client reaches the server. */
  readonly localCandidateType: string;
  readonly roundTripMs: number;
  readonly received: ReceivedStats[];
  readonly sent: SentStats[];
}

type Report = Record<string, unknown>;

function text(report: Report | undefined, key: string): string {
  const value = report?.[key];
  return typeof value === "string" ? value : "";
}

function number(report: Report | undefined, key: string): number {
  const value = report?.[key];
  return typeof value === "number" ? value : 0;
}

/** Reads `getStats`. `owners` says whose each slot is. */
export async function collectStats(
  connection: RTCPeerConnection,
  owners: ReadonlyMap<string, SlotOwner>,
): Promise<ConnectionStats> {
  const reports = new Map<string, Report>();
  (await connection.getStats()).forEach((report: Report) => {
    reports.set(text(report, "id"), report);
  });
  const all = [...reports.values()];
  const of = (type: string) => all.filter((report) => text(report, "type") === type);
  const codec = (report: Report) =>
    text(reports.get(text(report, "codecId")), "mimeType").replace(/^\w+\//, "");
  const mids = new Map(
    connection
      .getTransceivers()
      .flatMap((t) => (t.mid === null ? [] : [[t.receiver.track.id, t.mid] as const])),
  );
  const transport = of("transport")[0];
  const pair =
    reports.get(text(transport, "selectedCandidatePairId")) ??
    of("candidate-pair").find((report) => report.nominated === true && report.state === "succeeded");
  return {
    connectionState: connection.connectionState,
    dtlsState: text(transport, "dtlsState"),
    srtpCipher: text(transport, "srtpCipher"),
    dtlsCipher: text(transport, "dtlsCipher"),
    localCandidateType: text(reports.get(text(pair, "localCandidateId")), "candidateType"),
    roundTripMs: number(pair, "currentRoundTripTime") * 1000,
    received: of("inbound-rtp").map((report) => {
      const mid = text(report, "mid") || (mids.get(text(report, "trackIdentifier")) ?? "");
      const owner = owners.get(mid);
      return {
        mid,
        kind: text(report, "kind"),
        ...(owner === undefined ? {} : { member: owner.member, track: owner.id }),
        packetsReceived: number(report, "packetsReceived"),
        packetsLost: number(report, "packetsLost"),
        bytesReceived: number(report, "bytesReceived"),
        framesDecoded: number(report, "framesDecoded"),
        freezeCount: number(report, "freezeCount"),
        totalAudioEnergy: number(report, "totalAudioEnergy"),
        width: number(report, "frameWidth"),
        height: number(report, "frameHeight"),
        codec: codec(report),
      };
    }),
    sent: of("outbound-rtp").map((report) => ({
      mid: text(report, "mid"),
      kind: text(report, "kind"),
      rid: text(report, "rid"),
      packetsSent: number(report, "packetsSent"),
      bytesSent: number(report, "bytesSent"),
      framesEncoded: number(report, "framesEncoded"),
      codec: codec(report),
    })),
  };
}
