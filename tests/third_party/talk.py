"""The Python peer, on the library `websockets`.

talk.py service                       serves, prints its address, and answers whoever comes
talk.py backend URL                   dials twice, one after the other, and answers
talk.py caller URL PROTOCOL EXTENSION dials twice, talks, and fails if anything is not as it should be

Who answers prints the code and the reason of each end.
"""

import asyncio
import json
import random
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

OFFERS = ["cord.v2", "cord.v1"]
BIG = 64 << 20


def agreed(ws):
    extensions = [extension.name for extension in ws.protocol.extensions]
    return {"protocol": ws.subprotocol or "", "extension": ",".join(extensions)}


async def answer(ws):
    try:
        async for message in ws:
            if message == "describe":
                await ws.send(json.dumps(agreed(ws)))
            elif message == "fragments":
                await ws.send(["one, ", "zwei: ü, ", "", "three"])
            elif message == "ping":
                await asyncio.wait_for(await ws.ping(b"from who answers"), 10)
                await ws.send("ponged")
            elif message == "close":
                await ws.close(4002, "answerer is done")
            else:
                await ws.send(message)
    except ConnectionClosed:
        pass
    print("closed", ws.close_code, ws.close_reason, flush=True)


async def service():
    async with serve(answer, "127.0.0.1", 0, subprotocols=["cord.v1"], max_size=BIG, ping_interval=None) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening 127.0.0.1:{port}", flush=True)
        await server.serve_forever()


async def backend(url):
    for _ in range(2):
        async with connect(url, subprotocols=OFFERS, max_size=BIG, ping_interval=None) as ws:
            await answer(ws)


async def expect(ws, expected):
    heard = await asyncio.wait_for(ws.recv(), 20)
    assert type(heard) is type(expected) and heard == expected, f"{heard!r:.200} instead of {expected!r:.200}"


async def talk(ws, expected):
    assert agreed(ws) == expected, f"{agreed(ws)} instead of {expected}"
    await ws.send("describe")
    other = json.loads(await asyncio.wait_for(ws.recv(), 20))
    assert other == expected, f"the other end has {other} instead of {expected}"
    noise = random.Random(7).randbytes(200_000)
    for message in ["", "plain", "grüße 𝄞", "x" * 70_000, b"", bytes(range(256)), b"\0" * 100_000, noise]:
        await ws.send(message)
        await expect(ws, message)
    await ws.send(["in ", "", "fünf ", "kleinen ", "pieces"])
    await expect(ws, "in fünf kleinen pieces")
    await ws.send([b"binary ", b"\xff\x00", b" too"])
    await expect(ws, b"binary \xff\x00 too")
    await ws.send("fragments")
    await expect(ws, "one, zwei: ü, three")
    await asyncio.wait_for(await ws.ping(b"from the caller"), 10)
    await ws.send("ping")
    await expect(ws, "ponged")


async def caller(url, protocol, extension):
    expected = {"protocol": protocol, "extension": extension}
    async with connect(url, subprotocols=OFFERS, max_size=BIG, ping_interval=None) as ws:
        await talk(ws, expected)
        await ws.close(4001, "caller is done")
    async with connect(url, subprotocols=OFFERS, max_size=BIG, ping_interval=None) as ws:
        await talk(ws, expected)
        await ws.send("close")
        try:
            await asyncio.wait_for(ws.recv(), 20)
            raise AssertionError("a message came instead of a Close")
        except ConnectionClosed:
            assert (ws.close_code, ws.close_reason) == (4002, "answerer is done"), (ws.close_code, ws.close_reason)
    print("talked", flush=True)


ROLES = {"service": service, "backend": backend, "caller": caller}
asyncio.run(ROLES[sys.argv[1]](*sys.argv[2:]))
