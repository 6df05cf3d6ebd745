// Calls that one did not take, until one says that one knows.
import { text } from "../text.ts";
import { dismissMissed, missed } from "./calls.ts";

export function MissedCalls() {
  const format = new Intl.DateTimeFormat([], { dateStyle: "short", timeStyle: "short" });
  return (
    <div role="status">
      {missed.value.length > 0 && (
        <section class="banner missed" aria-label={text.missedCalls}>
          <ul>
            {missed.value.map(({ id, from, at }) => (
              <li key={id}>{text.missed(from || text.operator, format.format(at))}</li>
            ))}
          </ul>
          <button type="button" aria-label={text.dismissMissed} onClick={dismissMissed}>
            {text.dismiss}
          </button>
        </section>
      )}
    </div>
  );
}
