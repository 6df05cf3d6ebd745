// How much of an element is seen: what observers of the browser tell, as one figure.

/** What is about to be scrolled into view counts as seen, so that its picture is there in time. */
const MARGIN = "20%";

/** One place in which a track is shown. Sides are in pixels of the device. */
export interface Place {
  readonly visible: boolean;
  readonly width: number;
  readonly height: number;
}

/** Watches an element until the function returned is called. Where the browser has no observers it counts as seen. */
export function watchPlace(element: Element, callback: (place: Place) => void): () => void {
  let isOnScreen = typeof IntersectionObserver !== "function";
  const tell = () => {
    const { width, height } = element.getBoundingClientRect();
    // A page that is zoomed or moved to another screen changes the ratio, and with it the size of the viewport.
    const ratio = devicePixelRatio || 1;
    const hasSize = width > 0 && height > 0;
    callback({
      visible: isOnScreen && hasSize && document.visibilityState !== "hidden",
      width: width * ratio,
      height: height * ratio,
    });
  };
  const intersection = isOnScreen
    ? null
    : new IntersectionObserver(
        (entries) => {
          isOnScreen = entries.at(-1)?.isIntersecting ?? isOnScreen;
          tell();
        },
        { rootMargin: MARGIN },
      );
  intersection?.observe(element);
  const size = typeof ResizeObserver === "function" ? new ResizeObserver(tell) : null;
  size?.observe(element);
  document.addEventListener("visibilitychange", tell);
  addEventListener("resize", tell);
  if (intersection === null) tell();
  return () => {
    intersection?.disconnect();
    size?.disconnect();
    document.removeEventListener("visibilitychange", tell);
    removeEventListener("resize", tell);
  };
}
