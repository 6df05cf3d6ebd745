// Runs in a page: ties a document of Yjs to the room of the application.
import { DocProvider } from "@roundtable/sdk";
import * as Y from "yjs";

window.tieDoc = (name) => {
  const doc = new Y.Doc();
  const { hub } = window.roundtable.room.data;
  /** @type {DocProvider} */
  const provider = new DocProvider(hub, name, {
    apply: (update) => Y.applyUpdate(doc, update, provider),
    snapshot: () => Y.encodeStateAsUpdate(doc),
  });
  doc.on("update", (update, origin) => {
    if (origin !== provider) provider.push(update);
  });
  const text = doc.getText("text");
  window.doc = {
    write: (at, what) => text.insert(Math.min(at, text.length), what),
    read: () => ({ text: text.toString(), last: provider.last }),
  };
};
