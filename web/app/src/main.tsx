// The page's one entry: shows the view that the state names.
import { render } from "preact";
import { useEffect } from "preact/hooks";
import { Call } from "./Call.tsx";
import { Left } from "./Left.tsx";
import { Lobby } from "./lobby/Lobby.tsx";
import { roomId, view } from "./state.ts";
import { text } from "./text.ts";

function App() {
  useEffect(() => {
    document.title = roomId.value === "" ? text.title : `${roomId.value} · ${text.title}`;
  }, [roomId.value]);
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
