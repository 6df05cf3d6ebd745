// Camera and microphone before the call: what is there, what is chosen, what is wrong.

import { batch, signal } from "@preact/signals";
import { openCamera, openDevices, openMicrophone, RoundtableError, toRoundtableError } from "@roundtable/sdk";
import { readOptions } from "./address.ts";
import { deviceProblem } from "./text.ts";

export type DeviceKind = "camera" | "microphone";

/** One kind of device in the lobby. */
export interface Device {
  readonly track: MediaStreamTrack | null;
  readonly wanted: boolean;
  readonly problem: string;
  /** What can be chosen. */
  readonly choices: readonly MediaDeviceInfo[];
  readonly chosen: string;
}

const NOTHING: Device = { track: null, wanted: true, problem: "", choices: [], chosen: "" };

export const camera = signal<Device>(NOTHING);
export const microphone = signal<Device>(NOTHING);
/** Whether the browser is asking, or opening a device. */
export const opening = signal(false);

const capture = readOptions(location.search).capture;

function of(kind: DeviceKind) {
  return kind === "camera" ? camera : microphone;
}

function update(kind: DeviceKind, patch: Partial<Device>): void {
  const device = of(kind);
  device.value = { ...device.value, ...patch };
}

/** Constraints for opening what is chosen. */
export function chosenDevices(): { camera: MediaTrackConstraints; microphone: MediaTrackConstraints } {
  const exactly = (id: string) => (id === "" ? {} : { deviceId: { exact: id } });
  return {
    camera: { ...capture, ...exactly(camera.value.chosen) },
    microphone: exactly(microphone.value.chosen),
  };
}

/** Opens both, asking once. */
export async function prepare(): Promise<void> {
  if (opening.value) return;
  opening.value = true;
  release();
  const opened = await openDevices(navigator.mediaDevices, chosenDevices());
  accept("camera", opened.camera);
  accept("microphone", opened.microphone);
  await list();
  opening.value = false;
}

/** Opens another device of a kind. */
export async function choose(kind: DeviceKind, id: string): Promise<void> {
  update(kind, { chosen: id, wanted: true });
  await open(kind);
}

/** Turns a kind on or off. Off means off: the device is closed. */
export async function setWanted(kind: DeviceKind, wanted: boolean): Promise<void> {
  update(kind, { wanted });
  if (wanted) {
    await open(kind);
  } else {
    of(kind).value.track?.stop();
    update(kind, { track: null, problem: "" });
  }
}

/** Closes what is open. */
export function release(): void {
  for (const kind of ["camera", "microphone"] as const) {
    of(kind).value.track?.stop();
    update(kind, { track: null });
  }
}

/** What is open now, for the call. */
export function openTracks(): { camera: MediaStreamTrack | null; microphone: MediaStreamTrack | null } {
  return { camera: camera.value.track, microphone: microphone.value.track };
}

/** The open tracks are the call's from now on. */
export function handOver(): void {
  batch(() => {
    update("camera", { track: null });
    update("microphone", { track: null });
  });
}

/** These were the call's, and are open still. */
export function takeBack(tracks: Record<DeviceKind, MediaStreamTrack | null>): void {
  batch(() => {
    update("camera", { track: tracks.camera });
    update("microphone", { track: tracks.microphone });
  });
}

/** Opens what one wants of what is not open, as before the last call. */
export async function reopen(): Promise<void> {
  for (const kind of ["camera", "microphone"] as const) {
    const { track, wanted } = of(kind).value;
    if (track === null && wanted) await open(kind);
  }
}

async function open(kind: DeviceKind): Promise<void> {
  opening.value = true;
  of(kind).value.track?.stop();
  const constraints = chosenDevices()[kind];
  const opened = await (kind === "camera" ? openCamera : openMicrophone)(
    navigator.mediaDevices,
    constraints,
  ).catch((error: unknown) => toRoundtableError(error, "device/failed"));
  accept(kind, opened);
  await list();
  opening.value = false;
}

function accept(kind: DeviceKind, opened: MediaStreamTrack | RoundtableError | undefined): void {
  if (opened instanceof RoundtableError) {
    update(kind, { track: null, problem: deviceProblem(kind, opened.code) });
  } else if (opened !== undefined) {
    const chosen = opened.getSettings().deviceId ?? "";
    update(kind, { track: opened, problem: "", chosen });
  }
}

/** Reads what can be chosen; names are known only once a device was allowed. */
async function list(): Promise<void> {
  const devices = (await navigator.mediaDevices?.enumerateDevices().catch(() => [])) ?? [];
  batch(() => {
    update("camera", { choices: devices.filter((d) => d.kind === "videoinput" && d.deviceId !== "") });
    update("microphone", { choices: devices.filter((d) => d.kind === "audioinput" && d.deviceId !== "") });
  });
}

/** Calls back with the loudness of a track, 0–1, about ten times a second; returns the function that ends it. */
export function watchLevel(track: MediaStreamTrack, callback: (level: number) => void): () => void {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  void context.resume();
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    // −60 dB … 0 dB over the width of the meter.
    callback(Math.min(1, Math.max(0, 1 + (10 * Math.log10(power + 1e-9)) / 60)));
  }, 100);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}
