// Before the call: whether it rings here when somebody calls.
import { reachAs } from "../state.ts";
import { text } from "../text.ts";
import { isListening, isReachable, isToneOn, reachProblem, setReachable, setTone } from "./reach.ts";

export function ReachChoice() {
  const who = reachAs.value;
  return (
    <section class="reach" aria-label={text.reach}>
      <label class="switch">
        <input
          type="checkbox"
          name="reachable"
          checked={isReachable.value}
          aria-describedby="reach-state"
          onChange={(event) => setReachable(event.currentTarget.checked)}
        />
        <span>{text.reach}</span>
      </label>
      {isReachable.value && (
        <label class="switch">
          <input
            type="checkbox"
            checked={isToneOn.value}
            onChange={(event) => setTone(event.currentTarget.checked)}
          />
          <span>{text.tone}</span>
        </label>
      )}
      <p id="reach-state" class={reachProblem.value === "" ? "quiet" : "problem"} role="status">
        {reachProblem.value !== ""
          ? reachProblem.value
          : !isReachable.value
            ? ""
            : who === null
              ? text.reachNeedsName
              : isListening.value
                ? text.reachedAs(who.identity)
                : text.reaching}
      </p>
    </section>
  );
}
