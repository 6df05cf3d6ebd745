// The call: stage, panel, controls, and what there is to say about the connection.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ChatPanel } from "./chat/ChatPanel.tsx";
import { Controls } from "./controls/Controls.tsx";
import { notice } from "./moderation.ts";
import { PeoplePanel } from "./people/PeoplePanel.tsx";
import { MissedCalls } from "./ring/MissedCalls.tsx";
import { announcement, problem } from "./said.ts";
import { Stage } from "./stage/Stage.tsx";
import { playAll, Sounds } from "./stage/Video.tsx";
import { isBack, panel, retryAt, roomId, soundBlocked } from "./state.ts";
import { text } from "./text.ts";

export function Call() {
  return (
    <main class={panel.value === null ? "call" : "call with-panel"}>
      <h1 class="hidden">{roomId.value}</h1>
      <div class="banners">
        {retryAt.value !== null && <ReconnectBanner at={retryAt.value} />}
        {isBack.value && (
          <div class="banner back" role="status">
            {text.back}
          </div>
        )}
        <div role="status">
          {notice.value !== "" && (
            <div class="banner notice">
              {notice.value}{" "}
              <button
                type="button"
                onClick={() => {
                  notice.value = "";
                }}
              >
                {text.close}
              </button>
            </div>
          )}
        </div>
        <MissedCalls />
        {soundBlocked.value && (
          <div class="banner" role="alert">
            {text.playBlocked}{" "}
            <button type="button" onClick={playAll}>
              {text.play}
            </button>
          </div>
        )}
        {problem.value !== "" && (
          <div class="banner problem" role="alert">
            {problem.value}{" "}
            <button
              type="button"
              onClick={() => {
                problem.value = "";
              }}
            >
              {text.close}
            </button>
          </div>
        )}
      </div>
      <Stage />
      {panel.value === "chat" && <ChatPanel />}
      {panel.value === "people" && <PeoplePanel />}
      <Controls />
      <Sounds />
      <p class="hidden" role="status">
        {announcement.value}
      </p>
    </main>
  );
}

function ReconnectBanner({ at }: { at: number }) {
  const seconds = useSignal(0);
  useEffect(() => {
    const count = () => {
      seconds.value = Math.max(0, Math.ceil((at - Date.now()) / 1000));
    };
    count();
    const timer = setInterval(count, 500);
    return () => clearInterval(timer);
  }, [at]);
  return (
    <div class="banner reconnecting" role="status">
      {text.reconnecting(seconds.value)}
    </div>
  );
}
