// Cameras, microphones and screens, with a code for each way in which they can be missing.
import { RoundtableError, type RoundtableErrorCode } from "./errors.ts";

const CODES: ReadonlyMap<string, RoundtableErrorCode> = new Map([
  ["NotAllowedError", "device/denied"],
  ["SecurityError", "device/denied"],
  ["NotFoundError", "device/missing"],
  ["OverconstrainedError", "device/missing"],
  ["NotReadableError", "device/busy"],
  ["AbortError", "device/busy"],
]);

const CAMERA: MediaTrackConstraints = {
  width: { ideal: 1280 },
  height: { ideal: 720 },
  frameRate: { ideal: 30 },
};

const MICROPHONE: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
};

/** Why `getUserMedia` failed, as a code. */
export function deviceError(error: unknown): RoundtableError {
  if (error instanceof RoundtableError) return error;
  const name = typeof error === "object" && error !== null && "name" in error ? String(error.name) : "";
  const message = error instanceof Error ? error.message : String(error);
  return new RoundtableError(CODES.get(name) ?? "device/failed", message, { cause: error });
}

function required(mediaDevices: MediaDevices | undefined): MediaDevices {
  if (mediaDevices !== undefined) return mediaDevices;
  throw new RoundtableError("device/insecure", "Cameras and microphones need a secure page (https).");
}

/** What {@link openDevices} gave: a track or the reason, for what was asked. */
export interface OpenedDevices {
  camera?: MediaStreamTrack | RoundtableError;
  microphone?: MediaStreamTrack | RoundtableError;
}

/** Opens camera and microphone with one question to the person; if one fails, the other is still opened. */
export async function openDevices(
  mediaDevices: MediaDevices | undefined,
  wanted: { camera: MediaTrackConstraints; microphone: MediaTrackConstraints },
): Promise<OpenedDevices> {
  try {
    const stream = await open(required(mediaDevices), {
      video: { ...CAMERA, ...wanted.camera },
      audio: { ...MICROPHONE, ...wanted.microphone },
    });
    const [camera] = stream.getVideoTracks();
    const [microphone] = stream.getAudioTracks();
    return {
      ...(camera === undefined ? {} : { camera }),
      ...(microphone === undefined ? {} : { microphone }),
    };
  } catch (error) {
    const { code } = deviceError(error);
    if (code === "device/denied" || code === "device/insecure") {
      return { camera: deviceError(error), microphone: deviceError(error) };
    }
  }
  // One of them is missing or busy, and the browser does not say which.
  const camera = await openCamera(mediaDevices, wanted.camera).catch(deviceError);
  const microphone = await openMicrophone(mediaDevices, wanted.microphone).catch(deviceError);
  return { camera, microphone };
}

/** Opens one camera. */
export async function openCamera(
  mediaDevices: MediaDevices | undefined,
  constraints: MediaTrackConstraints = {},
): Promise<MediaStreamTrack> {
  return first(await open(required(mediaDevices), { video: { ...CAMERA, ...constraints } }));
}

/** Opens one microphone. */
export async function openMicrophone(
  mediaDevices: MediaDevices | undefined,
  constraints: MediaTrackConstraints = {},
): Promise<MediaStreamTrack> {
  return first(await open(required(mediaDevices), { audio: { ...MICROPHONE, ...constraints } }));
}

/** Asks the person for a screen, window or tab; its sound comes along where the browser offers it. */
export async function openScreen(mediaDevices: MediaDevices | undefined): Promise<MediaStream> {
  const devices = required(mediaDevices);
  if (typeof devices.getDisplayMedia !== "function") {
    throw new RoundtableError("device/missing", "This browser cannot share screens.");
  }
  try {
    return await devices.getDisplayMedia({ video: { frameRate: { ideal: 15 } }, audio: true });
  } catch (error) {
    throw deviceError(error);
  }
}

async function open(devices: MediaDevices, constraints: MediaStreamConstraints): Promise<MediaStream> {
  try {
    return await devices.getUserMedia(constraints);
  } catch (error) {
    throw deviceError(error);
  }
}

function first(stream: MediaStream): MediaStreamTrack {
  const track = stream.getTracks()[0];
  if (track === undefined) throw new RoundtableError("device/missing", "The device gave no track.");
  return track;
}
