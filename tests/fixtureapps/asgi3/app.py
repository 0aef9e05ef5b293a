"""An ASGI application that does by path what a test wants to see done."""

import asyncio
import json
import os
import sys

TEXT = [(b"content-type", b"text/plain")]
SIZED = [*TEXT, (b"content-length", b"5")]


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket" and scope["path"] == "/talk":
        await talk(receive, send)
    elif scope["type"] == "websocket":
        await send({"type": "websocket.accept", "headers": [(b"x-accel-redirect", b"/x"), (b"x-own", b"1")]})
        await send({"type": "websocket.send", "text": json.dumps({"scheme": scope["scheme"], "client": scope["client"]})})
        await send({"type": "websocket.close"})
    else:
        await globals()[scope["path"].strip("/") or "hello"](scope, receive, send)


async def lifespan(receive, send):
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def start(send, headers=SIZED, status=200):
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def body(send, data=b"hello", more=False):
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def read(receive):
    found = b""
    while True:
        message = await receive()
        found += message.get("body", b"")
        if not message.get("more_body"):
            return found


async def hello(scope, receive, send):
    await start(send)
    await body(send)


async def tell(scope, receive, send):
    data = await read(receive)
    said = {key: scope[key] for key in ("client", "scheme", "server", "method", "path", "root_path", "http_version")}
    said |= {key: scope[key].decode("latin-1") for key in ("raw_path", "query_string")}
    said["headers"] = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
    said["body"] = data.decode("latin-1")
    answer = json.dumps(said).encode()
    await start(send, [(b"content-length", b"%d" % len(answer))])
    await body(send, answer)


async def headers(scope, receive, send):
    """Answer with the headers that the request's body names."""
    pairs = json.loads(await read(receive))
    await start(send, [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs])
    await body(send)


async def parts(scope, receive, send):
    await start(send, TEXT)
    for part in (b"one ", b"", b"two ", b"x" * 70_000):
        await body(send, part, more=True)
    await body(send, b"")


async def reused(scope, receive, send):
    await start(send)
    buffer = bytearray(b"hello")
    await body(send, buffer)
    buffer[:] = b"WRONG"


async def nothing_to_see(scope, receive, send):
    await start(send, SIZED, 204)
    await body(send)


async def too_long(scope, receive, send):
    await start(send)
    await body(send, b"hello and more")


async def too_short(scope, receive, send):
    await start(send)
    await body(send, b"hel")


async def raises(scope, receive, send):
    raise RuntimeError("on purpose")


async def exits(scope, receive, send):
    sys.exit(3)


async def raises_late(scope, receive, send):
    await start(send)
    await body(send, b"he", more=True)
    raise RuntimeError("on purpose, late")


async def raises_after(scope, receive, send):
    await hello(scope, receive, send)
    raise RuntimeError("on purpose, afterwards")


async def silent(scope, receive, send):
    pass


async def talk(receive, send):
    """Accept, take one message, and close with a reason while the client may still be talking."""
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    await send({"type": "websocket.close", "code": 4000, "reason": "enough"})


async def bodiless(scope, receive, send):
    """Start a response and leave it at that."""
    await start(send, status=int(scope["query_string"] or b"200"))


async def raises_started(scope, receive, send):
    await start(send)
    raise RuntimeError("on purpose, before the body")


async def twice(scope, receive, send):
    await start(send)
    try:
        await start(send)
    except RuntimeError as error:
        print("refused:", error, flush=True)
    await body(send)


async def early(scope, receive, send):
    await send({"type": "http.response.informational", "status": 103, "headers": [(b"link", b"</a.css>")]})
    await hello(scope, receive, send)


async def afterwards(scope, receive, send):
    """Answer, then wait until a file appears, and say so."""
    await hello(scope, receive, send)
    print("answered", flush=True)
    while not os.path.exists("go"):
        await asyncio.sleep(0.01)
    print("finished", flush=True)


async def waits(scope, receive, send):
    await read(receive)
    print("waits", flush=True)
    print((await receive())["type"], flush=True)
