"""Two people who have nothing but the description hear each other."""

import asyncio
import os
import secrets
import unittest

import aioice

from connection import SOON_S, Door
from media import Call
from member import Member
from schema import Schema

URL = os.environ.get("ROUNDTABLE_URL", "ws://127.0.0.1:7880/ws")
SCHEMA = Schema()
ANNS_HZ = 440
BOBS_HZ = 660
TOLERANCE_HZ = 25


# aioice never offers loopback addresses.
HAS_AN_ADDRESS = bool(aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=False))


@unittest.skipUnless(HAS_AN_ADDRESS, "this machine has no IPv4 address but that of itself")
class Media(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.door = Door(URL, f"media-{secrets.token_hex(8)}", SCHEMA)
        self.addAsyncCleanup(self.door.close)
        asyncio.get_running_loop().slow_callback_duration = SOON_S  # Others may be using this machine.

    async def enter(self, name, pitch_hz):
        member = await Member.enter(self.door, name, accept=["batch", "deflate"])
        call = Call(member)
        self.addAsyncCleanup(call.end)
        await call.begin(pitch_hz)
        return member, call

    async def until(self, member, holds):
        """Takes in what comes to a member until that is true, which nothing need say."""
        async with asyncio.timeout(SOON_S):
            while not holds():
                await member.hear_within(0.1)

    def pitch(self, member, call, of):
        """What a member hears of another one, on the m-line that `slots` names."""
        for mid, slot in member.slots.items():
            if (slot.get("track") or {}).get("member") == of.id and mid in call.ears:
                return call.ears[mid].pitch_hz
        return None

    async def test_two_hear_each_other_mute_and_write_over_the_channel(self):
        ann, anns_call = await self.enter("Ann", ANNS_HZ)
        bob, bobs_call = await self.enter("Bob", BOBS_HZ)
        for member, call, other, pitch_hz in [(ann, anns_call, bob, BOBS_HZ), (bob, bobs_call, ann, ANNS_HZ)]:
            heard = lambda: self.pitch(member, call, other)
            await self.until(member, lambda: heard() and abs(heard() - pitch_hz) < TOLERANCE_HZ)
        self.assertEqual(
            [(track["member"], track["source"], track["muted"], track["codec"]) for track in ann.state["tracks"]],
            [(ann.id, "microphone", False, "opus"), (bob.id, "microphone", False, "opus")],
        )

        anns_call.write({"type": "chat", "nonce": ann.next_number(), "text": "over the channel"})
        await self.until(ann, lambda: ann.chat)
        await self.until(bob, lambda: bob.chat)
        self.assertEqual([entry["text"] for entry in bob.chat.values()], ["over the channel"])
        self.assertEqual(bob.connection.heard["chat"], 0, "it came over the channel")

        await bob.say("mute", track=bobs_call.track, muted=True)
        event = await ann.until_event("muted")
        self.assertEqual((event["member"], event["track"], event["muted"]), (bob.id, bobs_call.track, True))
        await bob.say("mute", track=bobs_call.track, muted=False)
        await ann.until_event("muted", lambda event: not event["muted"])

        for wanted in (False, True):
            await ann.say("subscribe", changes=[{"track": bobs_call.track, "wanted": wanted}])
            carried = lambda: [(slot.get("track") or {}).get("id") for slot in ann.slots.values()]
            await self.until(ann, lambda: (bobs_call.track in carried()) == wanted)
        await ann.say("view", changes=[{"track": bobs_call.track, "visible": False}])

        stats = await ann.ask("getStats")
        self.assertEqual(stats["type"], "stats")
        await bob.say("unpublish", tracks=[bobs_call.track])
        await ann.until_event("unpublished")
        await bob.leave()
        await ann.until_event("left")
        newest = await Member.enter(self.door, "Newest")
        await ann.until_state(lambda state: state["seq"] >= newest.state["seq"])
        self.assertEqual(ann.state, newest.state)

    async def test_media_goes_on_while_the_socket_is_away(self):
        ann, anns_call = await self.enter("Ann", ANNS_HZ)
        bob, _ = await self.enter("Bob", BOBS_HZ)
        await self.until(ann, lambda: self.pitch(ann, anns_call, bob))
        ann.connection.break_off()
        resumed = await ann.come_back()
        self.assertEqual((resumed["type"], resumed["media"]), ("resumed", True))
        (ear,) = [anns_call.ears[mid] for mid, slot in ann.slots.items() if slot.get("track") and mid in anns_call.ears]
        frames = ear.frames
        await self.until(ann, lambda: ear.frames > frames + 50)


if __name__ == "__main__":
    unittest.main()
