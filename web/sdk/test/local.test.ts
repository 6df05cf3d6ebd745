import { describe, expect, test } from "vitest";
import { LocalParticipant } from "../src/local.ts";
import type { LocalTrackPublication } from "../src/publication.ts";
import { at, FakePlatform, fakeTrack } from "./fakes.ts";

function setUp() {
  const platform = new FakePlatform();
  const opened: MediaStreamTrack[] = [];
  const open = async (constraints: MediaStreamConstraints) => {
    const track = fakeTrack(constraints.video === undefined ? "audio" : "video", `opened-${opened.length}`);
    opened.push(track);
    return {
      getTracks: () => [track],
      getVideoTracks: () => (track.kind === "video" ? [track] : []),
      getAudioTracks: () => (track.kind === "audio" ? [track] : []),
    };
  };
  platform.mediaDevices = { getUserMedia: open, getDisplayMedia: open } as unknown as MediaDevices;
  const log: string[] = [];
  const note = (verb: string) => async (publication: LocalTrackPublication) => {
    log.push(`${verb} ${publication.source} ${publication.track?.id ?? "nothing"}`);
  };
  const local = new LocalParticipant(platform, {
    publish: note("publish"),
    unpublish: note("unpublish"),
    replace: note("replace"),
    drop: async () => {},
    update: async (change) => void log.push(`update ${JSON.stringify(change)}`),
    mute: ({ source, muted }) => log.push(`${muted ? "mute" : "unmute"} ${source}`),
    changed: () => {},
  });
  return { local, log, opened };
}

describe("the local participant", () => {
  test("turns a camera off for good and on again on the same publication", async () => {
    const { local, log, opened } = setUp();
    await local.setCameraEnabled(true);
    await local.setCameraEnabled(false);
    expect(at(opened, 0).readyState).toBe("ended");
    expect(local.isCameraEnabled).toBe(false);
    await local.setCameraEnabled(true);
    expect(local.isCameraEnabled).toBe(true);
    // The new picture is in place before others are told to look.
    expect(log).toEqual([
      "publish camera opened-0",
      "replace camera nothing",
      "mute camera",
      "replace camera opened-1",
      "unmute camera",
    ]);
  });

  test("mutes a microphone without closing it", async () => {
    const { local, log, opened } = setUp();
    await local.setMicrophoneEnabled(true);
    await local.setMicrophoneEnabled(false);
    expect(at(opened, 0)).toMatchObject({ readyState: "live", enabled: false });
    await local.setMicrophoneEnabled(true);
    expect(at(opened, 0).enabled).toBe(true);
    expect(opened).toHaveLength(1);
    expect(log).toEqual(["publish microphone opened-0", "mute microphone", "unmute microphone"]);
  });

  test("another device takes the place of the first, which is closed", async () => {
    const { local, log, opened } = setUp();
    await local.setMicrophoneEnabled(true);
    await local.setMicrophoneEnabled(true, { deviceId: "other" });
    expect(opened.map((track) => track.readyState)).toEqual(["ended", "live"]);
    expect(log).toEqual(["publish microphone opened-0", "replace microphone opened-1", "unmute microphone"]);
  });

  test("an unplugged camera is a muted one; sharing ended by the browser is ended", async () => {
    const { local, log, opened } = setUp();
    await local.setCameraEnabled(true);
    await local.setScreenShareEnabled(true);
    log.length = 0;
    for (const track of opened) track.dispatchEvent(new Event("ended"));
    await Promise.resolve();
    expect(local.isCameraEnabled).toBe(false);
    expect(local.publications.has("screen")).toBe(false);
    expect(log).toEqual(["replace camera nothing", "unpublish screen opened-1", "mute camera"]);
  });

  test("what ends after it was replaced is of no interest", async () => {
    const { local, opened } = setUp();
    await local.setCameraEnabled(true);
    await local.setCameraEnabled(true, { deviceId: "other" });
    at(opened, 0).dispatchEvent(new Event("ended"));
    expect(local.isCameraEnabled).toBe(true);
  });
});
