// S13: S1 with every frame encrypted between the pages: the server sees headers and the descriptor only.
import { playDip } from "./lib/dip.mjs";
import { scenario } from "./lib/scenario.mjs";

scenario("s13-vp8", "sealed VP8 simulcast through a dip", (verdict) => playDip(verdict, { seal: true }));
scenario("s13-vp9", "sealed VP9 L3T3_KEY through a dip", (verdict) =>
  playDip(verdict, { codec: "VP9", mode: "L3T3_KEY", seal: true }),
);
