// RTP header extensions that browsers know but offer only when asked.

/** What a frame needs and who needs it: without it AV1 in layers cannot be taken apart, nor put together again. */
const DEPENDENCY_DESCRIPTOR =
  "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";

interface Extension {
  uri: string;
  direction: RTCRtpTransceiverDirection;
}

/** RTP Header Extension Control (W3C draft), as far as a browser has it. */
interface Negotiable {
  getHeaderExtensionsToNegotiate?: () => Extension[];
  setHeaderExtensionsToNegotiate?: (extensions: Extension[]) => void;
}

/** Has a transceiver offer what the server makes use of; where the browser will not, it offers what it always does. */
export function askForExtensions(transceiver: RTCRtpTransceiver): void {
  const negotiable = transceiver as unknown as Negotiable;
  const extensions = negotiable.getHeaderExtensionsToNegotiate?.();
  if (extensions === undefined) return;
  for (const extension of extensions) {
    if (extension.uri === DEPENDENCY_DESCRIPTOR) extension.direction = "sendrecv";
  }
  try {
    negotiable.setHeaderExtensionsToNegotiate?.(extensions);
  } catch {
    // Refused: nothing else changes.
  }
}
