"""The media of a member, by aiortc: a tone that is sent, and what comes on the receiving m-lines."""

import asyncio
import fractions
import json
import math
import struct

import aiortc
import av

from connection import SOON_S

SAMPLES_PER_S = 48_000
FRAME_S = 0.02
FRAME_SAMPLES = int(SAMPLES_PER_S * FRAME_S)
LOUDNESS = 8_000
CHAT = "roundtable.chat"


class Tone(aiortc.MediaStreamTrack):
    """A sine of one pitch."""

    kind = "audio"

    def __init__(self, pitch_hz):
        super().__init__()
        self._pitch_hz = pitch_hz
        self._samples = 0
        self._begin = None

    async def recv(self):
        now = asyncio.get_running_loop().time()
        self._begin = self._begin or now
        await asyncio.sleep(self._begin + self._samples / SAMPLES_PER_S - now)
        step = 2 * math.pi * self._pitch_hz / SAMPLES_PER_S
        wave = [int(LOUDNESS * math.sin(step * (self._samples + n))) for n in range(FRAME_SAMPLES)]
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES)
        frame.planes[0].update(struct.pack(f"<{FRAME_SAMPLES}h", *wave))
        frame.sample_rate = SAMPLES_PER_S
        frame.time_base = fractions.Fraction(1, SAMPLES_PER_S)
        frame.pts = self._samples
        self._samples += FRAME_SAMPLES
        return frame


class Ear:
    """What is heard on one receiving m-line."""

    def __init__(self, track):
        self._track = track
        self.pitch_hz = None
        self.frames = 0

    async def listen(self):
        """Decodes, and measures the pitch of each fifth of a second."""
        wave = []
        while True:
            try:
                frame = await self._track.recv()
            except aiortc.mediastreams.MediaStreamError:
                return
            self.frames += 1
            interleaved = struct.unpack(f"<{len(bytes(frame.planes[0])) // 2}h", bytes(frame.planes[0]))
            wave.extend(interleaved[:: len(frame.layout.channels)][: frame.samples])
            if len(wave) >= frame.sample_rate // 5:
                self.pitch_hz = pitch_of(wave, frame.sample_rate)
                wave.clear()


def with_candidates_everywhere(sdp, is_first):
    """The same answer for aiortc, which takes the candidates of a bundle from its last m-line, and takes them once.

    They stand in the first one (RFC 8843, 7.3.2), and an answer without new ICE credentials repeats them.
    """
    head, *lines = sdp.split("m=")
    is_candidate = lambda line: line.startswith(("a=candidate:", "a=end-of-candidates"))
    candidates = [line for line in lines[0].splitlines(True) if is_candidate(line)]
    plain = ["".join(text for text in line.splitlines(True) if not is_candidate(text)) for line in lines]
    return "m=".join([head, *(line + "".join(candidates if is_first else ()) for line in plain)])


def pitch_of(wave, samples_per_s):
    """The pitch by how often the wave rises through zero; None where it is silent."""
    if max(map(abs, wave)) < LOUDNESS // 4:
        return None
    rises = sum(before < 0 <= after for before, after in zip(wave, wave[1:]))
    return rises * samples_per_s / len(wave)


class Call:
    """The peer connection of a member: one for each, and only the member offers."""

    def __init__(self, member):
        self._member = member
        urls = [
            aiortc.RTCIceServer(server["urls"], server.get("username"), server.get("credential"))
            for server in member.welcome["iceServers"]
        ]
        policy = aiortc.RTCBundlePolicy.MAX_BUNDLE
        self._peer = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=urls, bundlePolicy=policy))
        self._listening = []
        self._opened = asyncio.Event()
        self.ears = {}
        self.track = None
        self._peer.on("track", self._hear)

    async def begin(self, pitch_hz):
        """Publishes a tone, with a channel for chat; then offers the seats, behind both of them."""
        sender = self._peer.addTransceiver(Tone(pitch_hz), direction="sendonly")
        channel = self._peer.createDataChannel(CHAT)
        channel.on("open", self._opened.set)
        channel.on("message", lambda text: self._member.take_from_channel(json.loads(text)))
        self._channel = channel
        answer = await self._offer({sender: "microphone"})
        self.track = answer["tracks"][0]["track"]

        for _ in range(self._member.welcome["seats"]):
            self._peer.addTransceiver("audio", direction="recvonly")
            self._peer.addTransceiver("video", direction="recvonly")
        for _ in range(self._member.welcome["voiceSlots"]):
            self._peer.addTransceiver("audio", direction="recvonly")
        await self._offer({sender: "microphone"})
        async with asyncio.timeout(SOON_S):
            await self._opened.wait()

    async def _offer(self, sources):
        await self._peer.setLocalDescription(await self._peer.createOffer())
        tracks = [{"mid": line.mid, "source": source} for line, source in sources.items()]
        answer = await self._member.ask("offer", sdp=self._peer.localDescription.sdp, tracks=tracks)
        assert answer["type"] == "answer", answer
        sdp = with_candidates_everywhere(answer["sdp"], is_first=self.track is None)
        await self._peer.setRemoteDescription(aiortc.RTCSessionDescription(sdp, "answer"))
        return answer

    def write(self, message):
        """Says something over the channel for chat."""
        self._member.check(message)
        self._channel.send(json.dumps(message))

    def _hear(self, track):
        lines = [line for line in self._peer.getTransceivers() if line.receiver.track is track]
        if track.kind != "audio":
            return
        ear = self.ears[lines[0].mid] = Ear(track)
        self._listening.append(asyncio.create_task(ear.listen()))

    async def end(self):
        await self._peer.close()
        await asyncio.gather(*self._listening)
