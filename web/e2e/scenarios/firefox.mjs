// Firefox on either side of a dip: it has other feedback, and as a publisher no dependency descriptor.
import { playDip } from "./lib/dip.mjs";
import { scenario } from "./lib/scenario.mjs";

scenario("firefox-watches", "Firefox behind the link", (verdict) => playDip(verdict, { watches: "firefox" }));
scenario("firefox-publishes", "VP8 simulcast of Firefox", (verdict) =>
  playDip(verdict, { publishes: "firefox" }),
);
