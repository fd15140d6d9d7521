#!/usr/bin/env python3
"""A browser phone without a browser: SIP over a WebSocket by hand, audio by aiortc.

    peer.py PORT EXTENSION SECRET TONE SECONDS WAV [DIAL] [codec=NAME] [hold] [wrong]

Registers, then dials, or answers the first call. It plays a tone in Hz, writes what it hears, at 8 kHz, and hangs up after so many
seconds if it dialled. `hold`: it holds the call in the middle of it, and takes it up again. `wrong`: its description
names another certificate than it shows.
"""

import asyncio
import base64
import fractions
import hashlib
import math
import os
import random
import re
import struct
import sys
import wave

import aioice.ice
import av
from aiortc import RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack

# The whole test lives on the loopback, which this library leaves out.
aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]

RATE, FRAME = 8000, 160


class Tone(MediaStreamTrack):
    """A sine, in packets of 20 ms."""

    kind = "audio"

    def __init__(self, hertz):
        super().__init__()
        self.hertz, self.at, self.began = hertz, 0, None

    async def recv(self):
        loop = asyncio.get_running_loop()
        if self.began is None:
            self.began = loop.time()
        await asyncio.sleep(max(0, self.began + self.at / RATE - loop.time()))
        samples = range(self.at, self.at + FRAME)
        data = [int(8000 * math.sin(2 * math.pi * self.hertz * n / RATE)) for n in samples]
        frame = av.AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(struct.pack(f"<{FRAME}h", *data))
        frame.sample_rate, frame.pts, frame.time_base = RATE, self.at, fractions.Fraction(1, RATE)
        self.at += FRAME
        return frame


async def record(track, path):
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with wave.open(path, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        try:
            while True:
                for frame in resampler.resample(await track.recv()):
                    out.writeframes(bytes(frame.planes[0])[: frame.samples * 2])
        except Exception:
            pass


class WebSocket:
    async def connect(self, port):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        key = base64.b64encode(os.urandom(16)).decode()
        self.writer.write(
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Protocol: sip\r\n\r\n".encode()
        )
        answer = await self.reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in answer, answer

    def send(self, text):
        data = text.encode()
        mask = os.urandom(4)
        size = len(data)
        head = struct.pack("!BB", 0x81, 0x80 | size) if size < 126 else struct.pack("!BBH", 0x81, 0xFE, size)
        body = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
        self.writer.write(head + mask + body)

    async def recv(self):
        while True:
            first, size = await self.reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack("!H", await self.reader.readexactly(2))
            data = await self.reader.readexactly(size)
            if first & 0x0F in (1, 2):
                return data.decode()


def header(message, name):
    found = re.search(rf"^{name}\s*:\s*(.*?)\r$", message, re.I | re.M)
    return found.group(1) if found else ""


def uri(value):
    found = re.search(r"<([^>]*)>", value)
    return found.group(1) if found else value.split(";")[0]


def body(message):
    return message.split("\r\n\r\n", 1)[1]


class Phone:
    def __init__(self, port, extension, secret):
        self.port, self.extension, self.secret = port, extension, secret
        self.ws, self.host = WebSocket(), f"{random.getrandbits(48):x}.invalid"
        self.cseq, self.answers, self.requests = 0, asyncio.Queue(), asyncio.Queue()
        self.dialog = None

    async def start(self):
        await self.ws.connect(self.port)
        self.reading = asyncio.create_task(self.read())

    async def read(self):
        while True:
            message = await self.ws.recv()
            if not message.strip():
                continue
            (self.answers if message.startswith("SIP/2.0") else self.requests).put_nowait(message)

    def write(self, method, target, to, call, tag, text="", extra="", cseq=None):
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        kind = "Content-Type: application/sdp\r\n" if text else ""
        self.ws.send(
            f"{method} {target} SIP/2.0\r\n"
            f"Via: SIP/2.0/WS {self.host};branch=z9hG4bK{random.getrandbits(64):x}\r\n"
            f"From: <sip:{self.extension}@tandem>;tag={tag}\r\nTo: {to}\r\nCall-ID: {call}\r\n"
            f"CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:{self.extension}@{self.host};transport=ws>\r\n{extra}{kind}"
            f"Content-Length: {len(text.encode())}\r\n\r\n{text}"
        )
        return cseq

    async def final(self):
        while True:
            message = await self.answers.get()
            if int(message.split()[1]) >= 200:
                return message

    async def ask(self, method, target, to, call, tag, text=""):
        """A request with a login, if that is asked for; its final answer and its CSeq."""
        extra = ""
        for _ in range(2):
            cseq = self.write(method, target, to, call, tag, text, extra)
            message = await self.final()
            status = int(message.split()[1])
            if method == "INVITE" and status >= 300:
                self.write("ACK", target, header(message, "To"), call, tag, cseq=cseq)
            if status not in (401, 407):
                return message, cseq
            asked = header(message, "WWW-Authenticate") or header(message, "Proxy-Authenticate")
            part = lambda name: re.search(rf'\b{name}="?([^",]+)', asked).group(1)
            md5 = lambda text: hashlib.md5(text.encode()).hexdigest()
            ha1 = md5(f"{self.extension}:{part('realm')}:{self.secret}")
            ha2 = md5(f"{method}:{target}")
            response = md5(f"{ha1}:{part('nonce')}:00000001:abcd:auth:{ha2}")
            name = "Authorization" if status == 401 else "Proxy-Authorization"
            extra = (
                f'{name}: Digest username="{self.extension}", realm="{part("realm")}", '
                f'nonce="{part("nonce")}", uri="{target}", response="{response}", '
                f'qop=auth, nc=00000001, cnonce="abcd", algorithm=MD5\r\n'
            )
        raise SystemExit(f"the login was refused: {message}")

    def answer(self, request, status, text="", tag=""):
        to = header(request, "To") + (f";tag={tag}" if tag and "tag=" not in header(request, "To") else "")
        vias = "".join(f"Via: {via}\r\n" for via in re.findall(r"^Via\s*:\s*(.*?)\r$", request, re.I | re.M))
        routes = re.findall(r"^(Record-Route\s*:.*?)\r$", request, re.I | re.M)
        kind = "Content-Type: application/sdp\r\n" if text else ""
        self.ws.send(
            f"SIP/2.0 {status}\r\n{vias}{''.join(r + chr(13) + chr(10) for r in routes)}"
            f"From: {header(request, 'From')}\r\nTo: {to}\r\nCall-ID: {header(request, 'Call-ID')}\r\n"
            f"CSeq: {header(request, 'CSeq')}\r\n"
            f"Contact: <sip:{self.extension}@{self.host};transport=ws>\r\n{kind}"
            f"Content-Length: {len(text.encode())}\r\n\r\n{text}"
        )


async def main():
    port, extension, secret, hertz, seconds, path, *words = sys.argv[1:]
    dial = next((word for word in words if word.isdigit()), None)
    codec = next((word[6:] for word in words if word.startswith("codec=")), "PCMU")
    phone = Phone(int(port), extension, secret)
    await phone.start()
    tag, call = f"{random.getrandbits(40):x}", f"{random.getrandbits(64):x}"
    message, _ = await phone.ask("REGISTER", "sip:tandem", f"<sip:{extension}@tandem>", call, tag)
    assert " 200 " in message, message
    print("registered", flush=True)

    connection = RTCPeerConnection()
    connection.on("track", lambda track: asyncio.ensure_future(record(track, path)))
    connection.on("connectionstatechange", lambda: print(connection.connectionState, flush=True))

    def prefer():
        known = RTCRtpSender.getCapabilities("audio").codecs
        wanted = [c for c in known if c.name.lower() == codec.lower()]
        for transceiver in connection.getTransceivers():
            transceiver.setCodecPreferences(wanted)

    def local():
        text = connection.localDescription.sdp
        if "wrong" in words:
            text = re.sub(r"(a=fingerprint:sha-\d+ )\S\S:\S\S", r"\g<1>00:00", text)
        return text

    async def offer():
        await connection.setLocalDescription(await connection.createOffer())
        return local()

    async def take(text, kind):
        print(kind, text, flush=True)
        await connection.setRemoteDescription(RTCSessionDescription(text, kind))

    call, tag = f"{random.getrandbits(64):x}", f"{random.getrandbits(40):x}"
    if dial:
        connection.addTrack(Tone(float(hertz)))
        prefer()
        target = f"sip:{dial}@tandem"
        message, cseq = await phone.ask("INVITE", target, f"<{target}>", call, tag, await offer())
        print(message.split("\r\n")[0], flush=True)
        if " 200 " not in message:
            raise SystemExit(1)
        remote, to = uri(header(message, "Contact")), header(message, "To")
        phone.write("ACK", remote, to, call, tag, cseq=cseq)
        await take(body(message), "answer")
    else:
        request = await phone.requests.get()
        while not request.startswith("INVITE"):
            phone.answer(request, "200 OK")
            request = await phone.requests.get()
        await take(body(request), "offer")
        connection.addTrack(Tone(float(hertz)))
        prefer()
        await connection.setLocalDescription(await connection.createAnswer())
        phone.answer(request, "200 OK", local(), tag)

    async def serve():
        """What the other side asks meanwhile; ends with its BYE."""
        while True:
            request = await phone.requests.get()
            method = request.split()[0]
            if method == "ACK":
                continue
            if method == "INVITE":
                await take(body(request), "offer")
                await connection.setLocalDescription(await connection.createAnswer())
                phone.answer(request, "200 OK", local(), tag)
                continue
            phone.answer(request, "200 OK", tag=tag)
            if method == "BYE":
                print("hung up on", header(request, "Reason"), flush=True)
                return

    async def turn(direction):
        connection.getTransceivers()[0].direction = direction
        message, cseq = await phone.ask("INVITE", remote, to, call, tag, await offer())
        assert " 200 " in message, message
        phone.write("ACK", remote, to, call, tag, cseq=cseq)
        await take(body(message), "answer")
        print("now", direction, flush=True)

    serving = asyncio.create_task(serve())
    if dial:
        if "hold" in words:
            await asyncio.wait([serving], timeout=float(seconds) / 2)
            await turn("sendonly")
            await asyncio.sleep(1)
            await turn("sendrecv")
        await asyncio.wait([serving], timeout=float(seconds))
        if not serving.done():
            await phone.ask("BYE", remote, to, call, tag)
    else:
        await serving
    await connection.close()


if __name__ == "__main__":
    asyncio.run(main())
