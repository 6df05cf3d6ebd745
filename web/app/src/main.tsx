// The page's one entry: shows the view that the state names.
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { Call } from "./Call.tsx";
import { Left } from "./Left.tsx";
import { Lobby } from "./lobby/Lobby.tsx";
import { incoming } from "./ring/calls.ts";
import { IncomingCall } from "./ring/IncomingCall.tsx";
import { roomId, view } from "./state.ts";
import { text } from "./text.ts";

function App() {
  const [caller] = incoming.value.map(({ from }) => from ?? text.operator);
  useEffect(() => {
    const what = caller === undefined ? roomId.value : text.ringingTitle(caller);
    document.title = what === "" ? text.title : `${what} · ${text.title}`;
  }, [roomId.value, caller]);
  return (
    <>
      <View />
      <IncomingCall />
    </>
  );
}

function View() {
  switch (view.value) {
    case "lobby":
      return <Lobby />;
    case "call":
      return <Call />;
    case "left":
      return <Left />;
  }
}

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
