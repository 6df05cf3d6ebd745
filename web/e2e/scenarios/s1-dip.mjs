// S1: a dip of one watcher's link, with every codec.
import { playDip } from "./lib/dip.mjs";
import { scenario } from "./lib/scenario.mjs";

scenario("s1-vp8", "VP8 simulcast through a dip", (verdict) => playDip(verdict, {}));
scenario("s1-vp9", "VP9 L3T3_KEY through a dip", (verdict) =>
  playDip(verdict, { codec: "VP9", mode: "L3T3_KEY" }),
);
scenario("s1-av1", "AV1 L3T3 through a dip", (verdict) => playDip(verdict, { codec: "AV1", mode: "L3T3" }));
scenario("s1-h264", "H.264 simulcast through a dip", (verdict) => playDip(verdict, { codec: "H264" }));
