import { defineConfig } from "vite";

export default defineConfig({
  // Everything relative: the page lives at any prefix, found through <base> (see src/address.ts).
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
  },
});
