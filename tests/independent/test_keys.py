"""A server with keys: tokens made as AUTH.md tells, a moderator's word, calls, documents."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import secrets
import time
import unittest

from connection import SOON_S, Door
from member import Member
from schema import Schema

URL = os.environ.get("ROUNDTABLE_URL", "ws://127.0.0.1:7880/ws")
KEY_ID, KEY_SECRET = os.environ.get("ROUNDTABLE_KEY", "devkey:secret").split(":")
SCHEMA = Schema()
ACCEPT = ["batch", "deflate"]


def token(room, identity, **claims):
    """A JSON Web Token (RFC 7519) by HS256."""
    part = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=")
    video = {"room": room, "roomJoin": True, **claims.pop("video", {})}
    header = {"alg": "HS256", "typ": "JWT", "kid": KEY_ID}
    claims = {"sub": identity, "exp": int(time.time()) + 60, "video": video, **claims}
    text = b".".join(part(json.dumps(piece).encode()) for piece in (header, claims))
    return b".".join([text, part(hmac.digest(KEY_SECRET.encode(), text, hashlib.sha256))]).decode()


def text_of(payload):
    return base64.b64decode(payload, validate=True).decode()


def payload_of(text):
    return base64.b64encode(text.encode()).decode()


class Keys(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.room = f"keys-{secrets.token_hex(8)}"
        self.door = Door(URL, self.room, SCHEMA)
        self.addAsyncCleanup(self.door.close)
        asyncio.get_running_loop().slow_callback_duration = SOON_S

    async def enter(self, identity, **claims):
        given = token(self.room, identity, **claims)
        return await Member.enter(self.door, identity.title(), token=given, accept=ACCEPT)

    async def host(self):
        return await self.enter("ann", role="host")

    async def moderate(self, host, kind, **fields):
        answer = await host.ask("moderate", action={"type": kind, **fields})
        self.assertEqual(answer["type"], "moderated", answer)
        return answer["outcome"]

    async def test_a_token_says_who_enters_and_what_they_show(self):
        ann = await self.enter("ann", name="Ann A.", metadata="{}", attributes={"team": "blue"})
        shown = {"identity": "ann", "name": "Ann A.", "metadata": "{}", "attributes": {"team": "blue"}}
        self.assertEqual(ann.welcome["member"], {"id": ann.id, **shown})
        for wrong, code in [
            ({}, "token/missing"),
            ({"token": "ey.nonsense.at-all"}, "token/invalid"),
            ({"token": token(self.room, "bob", exp=int(time.time()) - 600)}, "token/expired"),
            ({"token": token("elsewhere", "bob")}, "token/room"),
            ({"token": token(self.room, "bob", video={"roomJoin": False})}, "token/grant"),
        ]:
            connection = await self.door.open()
            await connection.say({"type": "hello", "version": SCHEMA.version, "name": "Bob", **wrong})
            said, close = await connection.closed()
            self.assertEqual(([m["code"] for m in said], close), ([code], 4403))

    async def test_what_members_show_of_themselves_changes(self):
        ann, bob = await self.host(), await self.enter("bob")
        updated = await ann.ask("updateMember", name="Dr Ann", attributes={"hand": "up"}, metadata="on the train")
        self.assertEqual((updated["type"], updated["member"]["version"]), ("updated", 1))
        await bob.until_event("memberUpdated")
        self.assertEqual([member for member in bob.state["members"] if member["id"] == ann.id], [updated["member"]])
        refused = await ann.ask("updateMember", name="Ann", version=7)
        self.assertEqual(refused["code"], "member/changed")
        await ann.ask("updateMember", attributes={"hand": None}, metadata=None, version=1)
        await bob.until_event("memberUpdated")
        newest = await self.enter("newest")
        await bob.until_state(lambda state: state["seq"] >= newest.state["seq"])
        self.assertEqual(bob.state, newest.state)

    async def test_a_moderator_s_word_counts(self):
        ann, bob = await self.host(), await self.enter("bob")
        outcome = await self.moderate(ann, "setPermissions", member=bob.id, changes={"role": "listener", "chat": False})
        grants = await bob.until("grants")
        self.assertEqual(grants["grants"], outcome["grants"])
        self.assertFalse(bob.welcome["grants"]["chat"])
        self.assertEqual((await bob.write("may I?"))["code"], "chat/forbidden")
        self.assertEqual((await ann.until_told("permissionsChanged"))["role"], "listener")

        await self.moderate(ann, "message", member=bob.id, text="please be quiet")
        self.assertEqual((await bob.until("notice"))["from"], ann.id)
        await self.moderate(ann, "setSettings", changes={"metadata": "agenda", "maxMembers": 5})
        await bob.until_told("roomUpdated")
        self.assertEqual(bob.state["settings"]["metadata"], "agenda")
        self.assertEqual((await self.moderate(ann, "muteAll", source="microphone", muted=True))["count"], 0)

        await self.moderate(ann, "ban", member=bob.id, seconds=60, message="that will do")
        said, code = await bob.connection.closed()
        self.assertEqual((said[-1]["type"], said[-1]["code"], code), ("goodbye", "room/banned", 4410))
        (ban,) = (await self.moderate(ann, "listBans"))["bans"]
        await self.moderate(ann, "unban", ban=ban["id"])
        cid = await self.enter("cid")
        refused = await ann.ask("moderate", action={"type": "move", "member": cid.id, "room": "another"})
        self.assertEqual(refused["code"], "moderation/forbidden", "where tokens say who may enter which room")
        await self.moderate(ann, "kick", member=cid.id)
        said, code = await cid.connection.closed()
        self.assertEqual(([m["code"] for m in said if m["type"] == "goodbye"], code), (["room/kicked"], 4410))

    async def test_who_knocks_is_let_in_or_not(self):
        ann = await self.host()
        await self.moderate(ann, "setSettings", changes={"lobby": True})
        waiting = []
        for name in ("Bob", "Cid"):
            connection = await self.door.open()
            hello = {"type": "hello", "version": SCHEMA.version, "name": name, "accept": ACCEPT}
            await connection.say({**hello, "token": token(self.room, name.lower())})
            self.assertEqual((await connection.hear()), {"type": "waiting", "accepted": ACCEPT})
            waiting.append((connection, (await ann.until("knock"))["knock"]))
        (bob, bobs_knock), (cid, cids_knock) = waiting
        self.assertEqual((await self.moderate(ann, "listKnocks"))["knocks"], [bobs_knock, cids_knock])
        await self.moderate(ann, "admit", knock=bobs_knock["id"])
        self.assertEqual((await bob.hear())["type"], "welcome")
        await self.moderate(ann, "deny", knock=cids_knock["id"], message="another time")
        said, code = await cid.closed()
        self.assertEqual(([m["code"] for m in said], code), (["lobby/denied"], 4403))
        while ann.connection.heard["knockEnded"] < 2:
            await ann.hear()

    async def test_one_calls_another(self):
        ann = await self.enter("ann")
        elsewhere = f"{self.room}-other"
        door = Door(URL, elsewhere, SCHEMA)
        self.addAsyncCleanup(door.close)
        callee = f"bob-{self.room}"
        bob = await Member.enter(door, "Bob", token=token(elsewhere, callee), accept=ACCEPT)
        called = await ann.ask("call", to=callee, timeoutS=30)
        self.assertEqual(called["type"], "called", called)
        ringing = (await bob.until("callEvent"))["event"]
        self.assertEqual((ringing["state"], ringing["call"]), ("ringing", called["call"]))
        await bob.ask("answerCall", call=called["call"]["id"], answer="accept")
        await ann.until("callEvent", lambda message: message["event"]["state"] == "accepted")

    async def test_a_document_is_kept_with_its_updates(self):
        ann, bob = await self.enter("ann"), await self.enter("bob")
        for number in (1, 2, 3):
            await ann.say("data", topic="doc/plan", payload=payload_of(f"update {number}"))
            data = await bob.until("data")
            self.assertEqual((data["n"], text_of(data["payload"])), (number, f"update {number}"))
        put = await bob.ask("putDoc", doc="plan", upTo=2, snapshot=payload_of("one and two"))
        self.assertEqual((put["type"], put["last"]), ("doc", 3))
        doc = await ann.ask("getDoc", doc="plan")
        self.assertEqual(text_of(doc["snapshot"]["payload"]), "one and two")
        self.assertEqual([(update["n"], update["from"]) for update in doc["updates"]], [(3, ann.id)])


if __name__ == "__main__":
    unittest.main()
