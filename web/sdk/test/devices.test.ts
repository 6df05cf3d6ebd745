import { describe, expect, test } from "vitest";
import { cameraEncodings } from "../src/codecs.ts";
import { deviceError, openCamera, openDevices } from "../src/devices.ts";
import { fakeTrack } from "./fakes.ts";

const named = (name: string) => Object.assign(new Error(name), { name });

describe("devices", () => {
  test("each way to fail has its code", () => {
    expect(deviceError(named("NotAllowedError")).code).toBe("device/denied");
    expect(deviceError(named("NotFoundError")).code).toBe("device/missing");
    expect(deviceError(named("OverconstrainedError")).code).toBe("device/missing");
    expect(deviceError(named("NotReadableError")).code).toBe("device/busy");
    expect(deviceError(named("Whatever")).code).toBe("device/failed");
    expect(deviceError("text").code).toBe("device/failed");
  });

  test("a page without mediaDevices is insecure", async () => {
    await expect(openCamera(undefined)).rejects.toMatchObject({ code: "device/insecure" });
  });
});

test("one missing device does not keep the other away", async () => {
  const asked: string[] = [];
  const mediaDevices = {
    getUserMedia: async (constraints: MediaStreamConstraints) => {
      asked.push(Object.keys(constraints).sort().join());
      if (constraints.video !== undefined) throw named("NotFoundError");
      return { getTracks: () => [fakeTrack("audio")] };
    },
  } as unknown as MediaDevices;
  const opened = await openDevices(mediaDevices, { camera: {}, microphone: {} });
  expect(opened.camera).toMatchObject({ code: "device/missing" });
  expect(opened.microphone).toMatchObject({ kind: "audio" });
  expect(asked).toEqual(["audio,video", "video", "audio"]);
});

test("small cameras get fewer encodings", () => {
  expect(cameraEncodings(720, true).map((e) => e.rid)).toEqual(["q", "h", "f"]);
  expect(cameraEncodings(480, false).map((e) => e.rid)).toEqual(["h", "f"]);
  expect(cameraEncodings(180, false)).toEqual([{ maxBitrate: 150_000 }]);
  expect(cameraEncodings(720, false).map((e) => e.maxBitrate)).toEqual([150_000, 500_000, 1_700_000]);
  expect(cameraEncodings(undefined, true).every((e) => JSON.stringify(e).includes("L1T3"))).toBe(true);
});
