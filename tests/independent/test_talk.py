"""People who have nothing but the description: they enter, talk, lose the connection, are refused things, and leave."""

import asyncio
import json
import os
import secrets
import unittest

import websockets

from connection import SOON_S, Closed, Door, deflate
from member import Member
from schema import NotInTheSchema, Schema

URL = os.environ.get("ROUNDTABLE_URL", "ws://127.0.0.1:7880/ws")
SCHEMA = Schema()
# People who come at once.
CROWD = 20


class Talk:
    """What holds however messages come."""

    accept = ()

    async def enter(self, name):
        hello = {"accept": list(self.accept)} if self.accept else {}
        member = await Member.enter(self.door, name, **hello)
        self.assertEqual(member.welcome.get("accepted", []), list(self.accept))
        return member

    async def asyncSetUp(self):
        self.door = Door(URL, f"talk-{secrets.token_hex(8)}", SCHEMA)
        self.addAsyncCleanup(self.door.close)
        asyncio.get_running_loop().slow_callback_duration = SOON_S  # Others may be using this machine.

    async def assert_knows_the_room(self, *members):
        """Whoever enters now is told what the others have put together from events."""
        newest = await self.enter("Newest")
        for member in members:
            await member.until_state(lambda state: state["seq"] >= newest.state["seq"])
            SCHEMA.check_state(member.state)
            self.assertEqual(member.state, newest.state)
        await newest.leave()

    async def test_people_come_and_go(self):
        ann = await self.enter("Ann")
        self.assertEqual([member["name"] for member in ann.state["members"]], ["Ann"])
        bob = await self.enter("Bob")
        event = await ann.until_event("joined")
        self.assertEqual(event["member"], {"id": bob.id, "name": "Bob"})
        await self.assert_knows_the_room(ann, bob)

        said, code = await bob.leave()
        self.assertEqual((said[-1]["type"], code), ("goodbye", 1000))
        event = await ann.until_event("left", lambda event: event["member"] == bob.id)
        self.assertEqual(event["reason"], "left")
        self.assertEqual([member["name"] for member in ann.state["members"]], ["Ann"])
        self.assertFalse(ann.lacks)

    async def test_what_one_writes_the_others_read(self):
        ann, bob = await self.enter("Ann"), await self.enter("Bob")
        acknowledgement = await ann.write("hello, «Bob» 👋")
        self.assertEqual(acknowledgement["message"]["member"], ann.id)
        read = await bob.until("chat")
        self.assertEqual(read["message"]["text"], "hello, «Bob» 👋")
        self.assertNotIn("nonce", read, "that is the writer's")

        long = " ".join(f"word {number}" for number in range(1200))
        await bob.write(long)
        await ann.until("chat", lambda chat: chat["message"]["text"] == long)

        message = acknowledgement["message"]["id"]
        await ann.say("editChat", id=ann.next_number(), message=message, text="hello, Bob")
        self.assertEqual((await bob.until_event("chatEdited"))["text"], "hello, Bob")
        await bob.say("react", message=message, reaction="👍", on=True)
        self.assertEqual((await ann.until_event("reaction"))["member"], bob.id)
        await bob.say("typing", typing=True)
        self.assertEqual((await ann.until("typing"))["member"], bob.id)
        private = await ann.write("you alone", to=[bob.id])
        self.assertEqual(private["type"], "privateChat")
        self.assertEqual((await bob.until("privateChat"))["message"]["text"], "you alone")

        cid = await self.enter("Cid")
        history = [cid.chat[seq] for seq in sorted(cid.chat)]
        self.assertEqual([entry["text"] for entry in history], ["hello, Bob", long])
        self.assertEqual(history[0]["reactions"], [{"reaction": "👍", "members": [bob.id]}])
        page = await cid.ask("getChat", before=f"{cid.state['epoch']}-{history[1]['seq']}", limit=10)
        self.assertEqual([entry["id"] for entry in page["messages"]], [message])
        self.assertIsNone(page.get("before"))

        await ann.say("deleteChat", id=ann.next_number(), message=message)
        await cid.until_event("chatDeleted")
        await self.assert_knows_the_room(ann, bob, cid)

    async def test_data_goes_by_topics(self):
        ann, bob = await self.enter("Ann"), await self.enter("Bob")
        await bob.say("topics", unsubscribe=["**"], subscribe=["game/*"])
        await bob.say("ping", nonce=1)
        await bob.until("pong")
        for topic in ("other", "game/move"):
            await ann.say("data", topic=topic, payload="aGVsbG8=")
        data = await bob.until("data")
        self.assertEqual((data["topic"], data["from"], data["payload"]), ("game/move", ann.id, "aGVsbG8="))

    async def test_who_loses_the_socket_comes_back_and_has_missed_nothing(self):
        ann, bob = await self.enter("Ann"), await self.enter("Bob")
        await ann.until_event("joined")
        await ann.write("before")
        ann.connection.break_off()
        for number in range(20):
            await bob.write(f"while you were away {number}")
        cid = await self.enter("Cid")

        answer = await ann.come_back()
        self.assertEqual(answer["type"], "resumed")
        self.assertEqual(answer["member"]["id"], ann.id)
        self.assertEqual(answer.get("accepted", []), list(self.accept))
        await ann.until_state(lambda state: len(state["members"]) == 3)
        self.assertEqual(sum(entry["text"].startswith("while") for entry in ann.chat.values()), 20)
        self.assertFalse(ann.lacks)
        await ann.write("back again")
        await cid.until("chat", lambda chat: chat["message"]["text"] == "back again")
        self.assertEqual(cid.connection.heard["event"], 0, "nobody was told that Ann had lost the socket")
        await self.assert_knows_the_room(ann, bob, cid)

    async def test_what_was_written_without_an_acknowledgement_is_taken_once(self):
        ann, bob = await self.enter("Ann"), await self.enter("Bob")
        nonce = ann.next_number()
        await ann.say("chat", nonce=nonce, text="once")
        await bob.until("chat")
        ann.connection.break_off()
        self.assertEqual((await ann.come_back())["type"], "resumed")
        await ann.say("chat", nonce=nonce, text="once")
        await ann.until("chat", lambda chat: chat["message"].get("nonce") == nonce)
        await ann.write("and then")
        await bob.until("chat")
        self.assertEqual([bob.chat[seq]["text"] for seq in sorted(bob.chat)], ["once", "and then"])

    async def test_who_comes_back_with_a_wrong_token_is_somebody_new(self):
        ann = await self.enter("Ann")
        first = ann.id
        ann.welcome["resume"]["token"] = "no such"
        ann.connection.break_off()
        self.assertEqual((await ann.come_back())["type"], "welcome")
        self.assertNotEqual(ann.id, first)

    async def test_what_cannot_be_is_refused_with_a_code(self):
        ann = await self.enter("Ann")
        refused = await ann.write("")
        self.assertEqual((refused["type"], refused["code"], refused["fatal"]), ("error", "chat/empty", False))
        refused = await ann.write("x" * 16385)
        self.assertEqual(refused["code"], "chat/too-long")
        refused = await ann.write("to nobody", to=["nobody"])
        self.assertEqual(refused["code"], "member/unknown")
        refused = await ann.ask("updateMember", name="Dr Ann")
        self.assertEqual(refused["code"], "member/forbidden")
        refused = await ann.ask("moderate", action={"type": "lock", "locked": True})
        self.assertEqual(refused["code"], "moderation/forbidden")
        refused = await ann.ask("offer", sdp="v=1", tracks=[])
        self.assertEqual(refused["code"].split("/")[0], "sdp")
        self.assertEqual((await ann.write("all the same"))["type"], "chat", "the connection lives on")

    async def test_what_is_no_message_is_refused_by_both_sides(self):
        ann = await self.enter("Ann")
        frames = [
            ({"type": "dance"}, "message/unknown"),
            ({"type": "chat", "text": "no nonce"}, "message/unknown"),
            ({"type": "ping", "nonce": "one"}, "message/unknown"),
            ({"type": "ping", "nonce": -1}, "message/unknown"),
            ([{"type": "ping", "nonce": 1}], "message/unknown"),
            ("hello", "message/unknown"),
        ]
        for message, code in frames:
            with self.assertRaises(NotInTheSchema, msg=message):
                SCHEMA.check_client(message)
            await ann.connection.say_unchecked(json.dumps(message))
            self.assertEqual((await ann.until("error"))["code"], code, message)
        await ann.connection.say_unchecked("{")
        self.assertEqual((await ann.until("error"))["code"], "message/bad-json")
        # Fields that it does not know the server passes over.
        await ann.connection.say_unchecked(json.dumps({"type": "ping", "nonce": 5, "mood": "good"}))
        self.assertEqual((await ann.until("pong"))["nonce"], 5)
        said, code = await ann.leave()
        self.assertEqual((said[-1]["type"], code), ("goodbye", 1000))

    async def test_who_says_hello_wrongly_is_not_let_in(self):
        hello = {"type": "hello", "version": SCHEMA.version, "name": "Ann"}
        connection = await self.door.open()
        await connection.say({**hello, "version": 99})
        said, close = await connection.closed()
        self.assertEqual([(error["code"], error["fatal"]) for error in said], [("hello/version", True)])
        self.assertEqual(close, 4403)

        connection = await self.door.open()
        await connection.say({"type": "ping", "nonce": 1})
        self.assertEqual((await connection.hear())["type"], "pong")
        early = {"type": "chat", "nonce": 2, "text": "is anybody here?"}
        for wrong, code in [(early, "message/out-of-order"), ({**hello, "name": ""}, "hello/name")]:
            await connection.say(wrong)
            refused = await connection.hear()
            self.assertEqual((refused["code"], refused["fatal"]), (code, False))
        await connection.say(hello)
        self.assertEqual((await connection.hear())["type"], "welcome")

        with self.assertRaises(websockets.InvalidStatus) as refused:
            await Door(URL, "no%20room", SCHEMA).open()
        self.assertEqual(refused.exception.response.status_code, 400)

    async def test_a_second_socket_takes_the_place_of_the_first(self):
        ann = await self.enter("Ann")
        first = ann.connection
        self.assertEqual((await ann.come_back())["type"], "resumed")
        said, code = await first.closed()
        self.assertEqual((said[-1]["code"], code), ("client/replaced", 4409))


class Plain(Talk, unittest.IsolatedAsyncioTestCase):
    """One message in a text frame."""


class Packed(Talk, unittest.IsolatedAsyncioTestCase):
    """Several messages in a frame, and compressed."""

    accept = ("batch", "deflate")

    async def test_frames_are_packed(self):
        ann = await self.enter("Ann")
        crowd = await asyncio.gather(*(self.enter(f"Guest {number}") for number in range(CROWD)))
        await ann.until_state(lambda state: len(state["members"]) == CROWD + 1)
        late = await self.enter("Late")
        self.assertGreater(ann.connection.frames["batches"], 0, ann.connection.frames)
        self.assertGreater(late.connection.frames["binary"], 0, "a welcome to a full room is compressed")
        ann.connection.break_off()
        await asyncio.gather(*(guest.leave() for guest in crowd))
        self.assertEqual((await ann.come_back())["type"], "resumed")
        await ann.until_state(lambda state: len(state["members"]) == 2)
        await self.assert_knows_the_room(ann)

    async def test_what_is_not_compressed_rightly_is_refused(self):
        ann = await self.enter("Ann")
        await ann.connection.say_unchecked(b"\xff" * 40)
        self.assertEqual((await ann.until("error"))["code"], "message/unknown")
        await ann.connection.say_unchecked(deflate(json.dumps({"type": "ping", "nonce": 3}).encode()))
        self.assertEqual((await ann.until("pong"))["nonce"], 3)
        await ann.connection.say_unchecked(deflate(b" " * (1 << 20)))
        with self.assertRaises(Closed) as closed:
            while True:
                await ann.hear()
        self.assertEqual(closed.exception.code, 1009)


class Strictness(unittest.TestCase):
    """The judge itself: what it would let pass is no proof of anything."""

    def test_it_takes_what_the_description_shows(self):
        SCHEMA.check_client({"type": "chat", "nonce": 17, "text": "hello"})
        SCHEMA.check_server({"type": "pong", "nonce": 17})

    def test_it_finds_fields_that_nothing_tells_of(self):
        ann = {"id": "m1", "name": "Ann"}
        event = {"seq": 1, "at": 1, "type": "joined", "member": ann}
        SCHEMA.check_server({"type": "event", "event": event})
        for odd in (
            {"type": "pong", "nonce": 17, "odd": 1},
            {"type": "event", "event": {**event, "odd": 1}},
            {"type": "event", "event": {**event, "member": {**ann, "odd": 1}}},
            {"type": "event", "event": {**event, "type": "odd"}},
            {"type": "error", "code": "odd/word", "message": "", "fatal": False},
        ):
            with self.assertRaises(NotInTheSchema, msg=odd):
                SCHEMA.check_server(odd)


if __name__ == "__main__":
    unittest.main()
