// How often a page asks for camera or microphone.

/** Counts it; a script for a page. */
export const COUNT_DEVICES = `if (navigator.mediaDevices) {
  const { mediaDevices } = navigator;
  const ask = mediaDevices.getUserMedia.bind(mediaDevices);
  window.devicesAsked = 0;
  mediaDevices.getUserMedia = (constraints) => {
    window.devicesAsked += 1;
    return ask(constraints);
  };
}`;

/** @param {import("./guest.mjs").Guest} guest with {@link COUNT_DEVICES} */
export function devicesAsked(guest) {
  return guest.evaluate(() => window.devicesAsked);
}
