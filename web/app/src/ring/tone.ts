// A quiet ring, made of two tones. Where the browser holds sound back before a click, it is silent.

/** How loud, of 1. */
const GAIN = 0.06;
/** Between two rings. */
const EVERY_MS = 2_500;
/** How long a ring is, in seconds. */
const RING_S = 0.9;

/** Rings until what is returned is called. */
export function startTone(): () => void {
  if (typeof AudioContext !== "function") return () => {};
  const context = new AudioContext();
  context.resume().then(
    () => ring(context),
    () => {},
  );
  const timer = setInterval(() => ring(context), EVERY_MS);
  return () => {
    clearInterval(timer);
    void context.close().catch(() => {});
  };
}

function ring(context: AudioContext): void {
  // While it is held back its clock stands, and all would sound at once later.
  if (context.state !== "running") return;
  const volume = context.createGain();
  const [from, to] = [context.currentTime, context.currentTime + RING_S];
  volume.gain.setValueAtTime(0, from);
  volume.gain.linearRampToValueAtTime(GAIN, from + 0.05);
  volume.gain.setValueAtTime(GAIN, to - 0.2);
  volume.gain.linearRampToValueAtTime(0, to);
  volume.connect(context.destination);
  for (const hertz of [523.25, 659.25]) {
    const tone = context.createOscillator();
    tone.frequency.value = hertz;
    tone.connect(volume);
    tone.start(from);
    tone.stop(to);
  }
}
