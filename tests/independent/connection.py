"""One WebSocket of the signalling: messages in and out, each of them checked, frames packed as was agreed."""

import asyncio
import collections
import json
import zlib

import websockets

# What takes milliseconds, on a machine that others use as well.
SOON_S = 20
# Shorter messages are not worth compressing.
DEFLATE_FROM_BYTES = 256
# The largest message of ours, and more than any of the server's.
MAX_FRAME_BYTES = 8 * 1024 * 1024


class Closed(Exception):
    """The socket is at its end; the code of the close frame, if one came."""

    def __init__(self, code):
        super().__init__(f"closed with {code}")
        self.code = code


class Door:
    """The way into one room."""

    def __init__(self, url, room, schema):
        self._place = f"{url}?room={room}"
        self.schema = schema
        self._sockets = []

    async def open(self):
        """Opens a socket."""
        # Compression is the protocol's own; the library's would be another one. Frames wait without a bound for those who
        # do not listen for a while, since the library would hear no answer to its close behind them.
        socket = await websockets.connect(self._place, compression=None, max_size=MAX_FRAME_BYTES, max_queue=None)
        self._sockets.append(socket)
        return Connection(socket, self.schema)

    async def close(self):
        """Closes all that were opened here."""
        for socket in self._sockets:
            await socket.close()


class Connection:
    """Says and hears messages."""

    def __init__(self, socket, schema):
        self._socket = socket
        self._schema = schema
        self._unread = collections.deque()
        self._packs = ()
        self.frames = {"text": 0, "binary": 0, "batches": 0}
        self.heard = collections.Counter()

    async def say(self, message):
        """Says what the schema allows a client to say."""
        self._schema.check_client(message)
        text = json.dumps(message, ensure_ascii=False)
        if "deflate" in self._packs and len(text) >= DEFLATE_FROM_BYTES:
            await self._socket.send(deflate(text.encode()))
        else:
            await self._socket.send(text)

    async def say_unchecked(self, frame):
        """Says anything, as a text or a binary frame."""
        await self._socket.send(frame)

    async def hear(self):
        """The next message, in the order in which the server said it."""
        while not self._unread:
            self._unread.extend(await self._frame())
        message = self._unread.popleft()
        self._schema.check_server(message)
        self.heard[message["type"]] += 1
        if message["type"] in ("welcome", "resumed", "waiting"):
            self._packs = tuple(message.get("accepted", ()))
        return message

    async def _frame(self):
        try:
            frame = await asyncio.wait_for(self._socket.recv(), SOON_S)
        except websockets.ConnectionClosed as end:
            raise Closed(end.rcvd.code if end.rcvd else None) from None
        if isinstance(frame, bytes):
            self.frames["binary"] += 1
            frame = inflate(frame).decode()
        else:
            self.frames["text"] += 1
        said = json.loads(frame)
        if not isinstance(said, list):
            return [said]
        self.frames["batches"] += 1
        return said

    async def closed(self):
        """Hears on until the end: what was said until then, and the close code."""
        said = []
        while True:
            try:
                said.append(await self.hear())
            except Closed as end:
                return said, end.code

    def break_off(self):
        """Loses the socket as a network does: without a close frame."""
        self._socket.transport.abort()


def deflate(text):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(text) + packer.flush()


def inflate(packed):
    unpacker = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
    text = unpacker.decompress(packed)
    assert unpacker.eof and not unpacker.unused_data, "a frame is one whole DEFLATE text"
    return text
