"""Somebody in a room: follows what is told, and says things."""

import asyncio
import copy

from connection import SOON_S


class Member:
    """A client of the protocol, as its description tells to write one."""

    def __init__(self, door, connection, hello):
        self._door = door
        self._connection = connection
        self._numbers = 0
        self._hello = hello
        # The numbers of what came of the journal beyond the last one before which nothing lacks.
        self._ahead = set()
        self.seq = 0
        self.welcome = None
        self.state = None
        self.events = []
        self.chat = {}
        self.slots = {}
        self.errors = []

    @classmethod
    async def enter(cls, door, name, **hello):
        """Opens a socket, says hello and waits to be welcome."""
        connection = await door.open()
        member = cls(door, connection, {"type": "hello", "version": door.schema.version, "name": name, **hello})
        await connection.say(member._hello)
        await member.until("welcome")
        await member.until("chatHistory", lambda history: history["complete"])
        return member

    async def come_back(self):
        """Opens another socket as the same member, and waits for the answer: `resumed` or `welcome`."""
        resume = {"token": self.welcome["resume"]["token"], "epoch": self.state["epoch"], "seq": self.seq}
        self._connection = await self._door.open()
        await self._connection.say({**self._hello, "resume": resume})
        return await self.until("resumed", "welcome")

    @property
    def id(self):
        return self.welcome["member"]["id"]

    @property
    def connection(self):
        return self._connection

    def next_number(self):
        """A number for a request, a message, an offer: one counter for all."""
        self._numbers += 1
        return self._numbers

    async def say(self, kind, **fields):
        await self._connection.say({"type": kind, **fields})

    async def ask(self, kind, **fields):
        """Says something with an `id`, and waits for the answer or the refusal."""
        number = self.next_number()
        await self.say(kind, id=number, **fields)
        return await self.until(None, where=lambda answer: answer.get("id") == number)

    async def write(self, text, **fields):
        """Writes, and waits for the acknowledgement or the refusal."""
        nonce = self.next_number()
        await self.say("chat", nonce=nonce, text=text, **fields)
        return await self.until(None, where=lambda m: nonce in (m.get("nonce"), m["type"] == "error" and m.get("id")))

    async def leave(self):
        """Leaves, and waits for the end: what was said until then, and the close code."""
        await self.say("leave")
        return await self._connection.closed()

    async def hear(self):
        """Takes the next message in."""
        message = await self._connection.hear()
        self.take(message)
        return message

    async def hear_within(self, seconds):
        """Takes the next message in if one comes within that time."""
        try:
            async with asyncio.timeout(seconds):
                await self.hear()
        except TimeoutError:
            pass

    def take_from_channel(self, message):
        """Takes in what came over the channel for chat."""
        self._door.schema.check_server(message)
        assert message["type"] in ("chat", "privateChat", "error"), message
        self.take(message)

    def check(self, message):
        """Whether the schema allows to say that."""
        self._door.schema.check_client(message)

    async def until(self, *kinds, where=lambda message: True):
        """Takes messages in until one of such a kind comes (of any: None) about which that is true."""
        *names, last = kinds
        if callable(last):
            kinds, where = names, last
        async with asyncio.timeout(SOON_S):
            while True:
                message = await self.hear()
                if (None in kinds or message["type"] in kinds) and where(message):
                    return message

    async def until_event(self, kind, where=lambda event: True):
        """Takes messages in until such an event comes."""
        message = await self.until("event", lambda m: m["event"]["type"] == kind and where(m["event"]))
        return message["event"]

    async def until_told(self, kind):
        """Such an event, of those that came already or the next that comes."""
        told = [event for event in self.events if event["type"] == kind]
        return told[0] if told else await self.until_event(kind)

    async def until_state(self, holds):
        """Takes messages in until that is true of the room."""
        async with asyncio.timeout(SOON_S):
            while not holds(self.state):
                await self.hear()

    def take(self, message):
        match message["type"]:
            case "welcome":
                self.welcome = message
                self._begin(message["state"])
            case "resumed":
                self.slots = {change["mid"]: change for change in message["slots"]}
                if "state" in message:
                    self._begin(message["state"])
            case "event":
                self._count(message["event"]["seq"])
                self.events.append(message["event"])
                fold(self.state, message["event"])
            case "chat":
                self._take_chat(message["message"])
            case "chatHistory":
                self.chat.update((entry["seq"], entry) for entry in message["messages"])
            case "slots":
                self.slots.update((change["mid"], change) for change in message["changes"])
            case "grants":
                self.welcome["grants"] = message["grants"]
            case "error":
                self.errors.append(message["code"])

    def _begin(self, state):
        self.state = copy.deepcopy(state)
        self.seq, self._ahead = state["seq"], set()

    def _take_chat(self, message):
        # What comes over a channel and again after a lost connection is known by its number.
        if message["seq"] > self.seq and message["seq"] not in self._ahead:
            self._count(message["seq"])
        self.chat[message["seq"]] = message

    def _count(self, number):
        assert number > self.seq and number not in self._ahead, f"{number} came twice"
        self._ahead.add(number)
        while self.seq + 1 in self._ahead:
            self.seq += 1
            self._ahead.remove(self.seq)
        self.state["seq"] = self.seq

    @property
    def lacks(self):
        """Whether something came before which something else did not."""
        return bool(self._ahead)


def fold(state, event):
    """What becomes of a room by an event."""
    members, tracks = state["members"], state["tracks"]
    match event["type"]:
        case "joined":
            members.append(event["member"])
        case "left":
            take_out(state, [event["member"]])
        case "audience":
            state["viewers"] = event["viewers"]
            take_out(state, event.get("counted", ()))
            members.extend(event.get("listed", ()))
        case "published":
            tracks.append(event["track"])
        case "unpublished":
            tracks[:] = [track for track in tracks if track["id"] != event["track"]]
        case "muted":
            for track in tracks:
                if track["id"] == event["track"]:
                    track["muted"] = event["muted"]
        case "restarted":
            state.update({name: event[name] for name in ("members", "viewers", "tracks")}, speaking=[])
        case "speaking":
            state["speaking"][:] = [who for who in state["speaking"] if who != event["member"]]
            state["speaking"] += [event["member"]] * event["speaking"]
        case "dominantSpeaker":
            state["dominantSpeaker"] = event.get("member")
        case "memberUpdated":
            shown = {name: event[name] for name in ("name", "metadata", "attributes", "version") if event.get(name)}
            for place, member in enumerate(members):
                if member["id"] == event["member"]:
                    kept = {name: member[name] for name in ("id", "identity") if name in member}
                    members[place] = kept | shown
        case "roomUpdated":
            state["settings"] = event["settings"]
        case "roomClosed":
            state["closed"] = True
        case "permissionsChanged" | "chat" | "chatEdited" | "chatDeleted" | "reaction":
            pass  # No part of the state.
        case unknown:
            raise AssertionError(f"the description tells of no event {unknown}")


def take_out(state, gone):
    state["members"][:] = [member for member in state["members"] if member["id"] not in gone]
    state["tracks"][:] = [track for track in state["tracks"] if track["member"] not in gone]
    state["speaking"][:] = [who for who in state["speaking"] if who not in gone]
