// After the call.
import { MissedCalls } from "./ring/MissedCalls.tsx";
import { problem } from "./said.ts";
import { frontPage, rejoin } from "./state.ts";
import { text } from "./text.ts";

export function Left() {
  return (
    <main class="left">
      <h1>{problem.value === "" ? text.left : problem.value}</h1>
      <p>
        <button type="button" class="primary" onClick={rejoin}>
          {text.rejoin}
        </button>{" "}
        <a href={frontPage()}>{text.otherRoom}</a>
      </p>
      <MissedCalls />
    </main>
  );
}
