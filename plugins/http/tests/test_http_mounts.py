"""ASGI and aiohttp applications behind routes, over real connections."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from mtev_http import EngineSettings
from mtev_http._aiohttp_engine import AiohttpEngine
from mtev_http.testing import Wire
from mtev_http.testing._wire import HOST, Suite


class Harness(Suite):
    factory = staticmethod(AiohttpEngine)


def play(scenario):
    Harness().play(scenario, EngineSettings())


def url(wire: Wire, path: str) -> str:
    host, port = wire._address
    return f"http://{host}:{port}{path}"


async def asgi_app(scope, receive, send):
    if scope["type"] == "lifespan":
        assert (await receive())["type"] == "lifespan.startup"
        scope["state"]["ready"] = "yes"
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        await send({"type": "lifespan.shutdown.complete"})
        return
    path = scope["path"]
    if scope["type"] == "websocket":
        assert await receive() == {"type": "websocket.connect"}
        if path.endswith("/refused"):
            await send({"type": "websocket.close", "code": 4003})
            return
        await send({"type": "websocket.accept", "subprotocol": "chat", "headers": [(b"x-app", b"yes")]})
        while (event := await receive())["type"] == "websocket.receive":
            if event.get("text") == "bye":
                await send({"type": "websocket.close", "code": 4001, "reason": "bye"})
                continue
            await send({"type": "websocket.send", "text": event.get("text"), "bytes": event.get("bytes")})
        return
    if path.endswith("/scope"):
        body = {
            "method": scope["method"],
            "root_path": scope["root_path"],
            "path": path,
            "raw_path": scope["raw_path"].decode(),
            "query": scope["query_string"].decode(),
            "header": dict(scope["headers"])[b"x-mine"].decode(),
            "client": scope["client"][0],
            "scheme": scope["scheme"],
            "state": scope["state"],
        }
        await start(send, 200, [(b"content-type", b"application/json"), (b"x-app", b"yes")])
        await send({"type": "http.response.body", "body": json.dumps(body).encode()})
    elif path.endswith("/echo"):
        await start(send, 201, [(b"Content-Type", b"text/plain")])
        while True:
            event = await receive()
            await send({"type": "http.response.body", "body": event["body"], "more_body": event["more_body"]})
            if not event["more_body"]:
                return
    elif path.endswith("/stream"):
        await start(send, 200, [(b"transfer-encoding", b"chunked")])
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        finally:
            asgi_app.ended.set()
    elif path.endswith("/fail"):
        raise RuntimeError("a secret")
    elif path.endswith("/half"):
        await start(send, 200, [(b"content-length", b"100")])
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("a secret")


async def start(send, status, headers):
    await send({"type": "http.response.start", "status": status, "headers": headers})


def test_an_asgi_application_sees_the_request_and_its_answer_arrives():
    async def scenario(wire):
        mount = wire.rest.mount_asgi("/app/", asgi_app, summary="an application")
        await mount.start()
        async with aiohttp.ClientSession() as session:
            async with session.get(url(wire, "/app/a%20b/scope?q=1"), headers={"X-Mine": "v"}) as answer:
                assert (answer.status, answer.headers["x-app"]) == (200, "yes")
                assert await answer.json() == {
                    "method": "GET",
                    "root_path": "/app",
                    "path": "/app/a b/scope",
                    "raw_path": "/app/a%20b/scope",
                    "query": "q=1",
                    "header": "v",
                    "client": "127.0.0.1",
                    "scheme": "http",
                    "state": {"ready": "yes"},
                }
            async with session.put(url(wire, "/app/echo"), data=b"y" * 300_000) as answer:
                assert (answer.status, answer.content_type) == (201, "text/plain")
                assert await answer.read() == b"y" * 300_000
            async with session.get(url(wire, "/app/fail")) as answer:
                assert answer.status == 500
                assert "secret" not in await answer.text()
            with pytest.raises(aiohttp.ClientPayloadError):
                async with session.get(url(wire, "/app/half")) as answer:
                    await answer.read()
        await mount.stop()
        assert mount._lifespan.done()
        assert mount._lifespan.exception() is None

    play(scenario)


def test_an_asgi_application_ends_when_its_client_leaves():
    async def scenario(wire):
        asgi_app.ended = asyncio.Event()
        wire.rest.mount_asgi("/app/", asgi_app, summary="an application")
        client = await wire.client()
        await client.send(b"GET /app/stream HTTP/1.1\r\n" + HOST + b"\r\n")
        await client.exactly(10_000)
        await client.leave()
        await asgi_app.ended.wait()

    play(scenario)


def test_websockets_of_an_asgi_application():
    async def scenario(wire):
        wire.rest.mount_asgi("/app/", asgi_app, summary="an application")
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url(wire, "/app/ws"), protocols=("other", "chat")) as socket:
                assert socket.protocol == "chat"
                await socket.send_str("hé")
                assert await socket.receive_str() == "hé"
                await socket.send_bytes(b"\x00\xff")
                assert await socket.receive_bytes() == b"\x00\xff"
                await socket.send_str("bye")
                last = await socket.receive()
                assert (last.type, last.data, last.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "bye")
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(url(wire, "/app/refused"))
            assert refused.value.status == 403

    play(scenario)


def test_an_application_that_fails_to_start_says_why():
    async def stubborn(scope, receive, send):
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async def old(scope, receive, send):
        assert scope["type"] == "http"

    async def scenario(wire):
        with pytest.raises(RuntimeError, match=r"at /app/ did not start: no database"):
            await wire.rest.mount_asgi("/app/", stubborn, summary="an application").start()
        await wire.rest.mount_asgi("/old/", old, summary="knows no lifespan").start()

    play(scenario)


def aiohttp_app(tmp_path) -> web.Application:
    async def show(request):
        return web.json_response(
            {
                "name": request.match_info["name"],
                "query": dict(request.query),
                "peer": request.remote,
                "host": request.host,
                "body": await request.text(),
                "state": request.app["ready"],
            },
            headers={"X-App": "yes"},
        )

    async def stream(request):
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 10_000)
        finally:
            request.app["ended"].set()
        return response

    async def form(request):
        fields = await request.post()
        return web.Response(text=f"{fields['name']} {fields['file'].filename} {len(fields['file'].file.read())}")

    async def socket(request):
        sock = web.WebSocketResponse(protocols=("chat",))
        await sock.prepare(request)
        async for message in sock:
            if message.data == "bye":
                await sock.close(code=4001, message=b"bye")
            elif message.type is web.WSMsgType.TEXT:
                await sock.send_str(message.data)
            else:
                await sock.send_bytes(message.data)
        return sock

    async def packed(request):
        response = web.Response(text="z" * 5000)
        response.enable_compression()
        return response

    async def begin(app):
        app["ready"] = "yes"
        app["ended"] = asyncio.Event()

    async def away(request):
        raise web.HTTPFound("/elsewhere")

    @web.middleware
    async def stamp(request, handler):
        response = await handler(request)
        if not response.prepared:
            response.headers["X-Stamp"] = "stamped"
        return response

    (tmp_path / "big.bin").write_bytes(b"big" * 400_000)
    app = web.Application(middlewares=[stamp], client_max_size=10**7)
    app.on_startup.append(begin)
    app.router.add_route("*", "/show/{name}", show)
    app.router.add_get("/stream", stream)
    app.router.add_post("/form", form)
    app.router.add_get("/ws", socket)
    app.router.add_get("/packed", packed)
    app.router.add_get("/away", away)
    app.router.add_static("/files", tmp_path)
    return app


@pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning")
def test_an_aiohttp_application_works_as_it_is(tmp_path):
    async def scenario(wire):
        mount = wire.rest.mount_aiohttp("/app/", aiohttp_app(tmp_path), summary="an application")
        await mount.start()
        async with aiohttp.ClientSession() as session:
            async with session.put(url(wire, "/app/show/me?q=1"), data=b"text") as answer:
                assert (answer.headers["x-app"], answer.headers["x-stamp"]) == ("yes", "stamped")
                shown = await answer.json()
                assert shown.pop("host").startswith("127.0.0.1:")
                assert shown == {"name": "me", "query": {"q": "1"}, "peer": "127.0.0.1", "body": "text", "state": "yes"}
            form = aiohttp.FormData({"name": "ann"})
            form.add_field("file", b"f" * 500_000, filename="f.bin")
            async with session.post(url(wire, "/app/form"), data=form) as answer:
                assert await answer.text() == "ann f.bin 500000"
            async with session.get(url(wire, "/app/files/big.bin")) as answer:
                assert await answer.read() == b"big" * 400_000
            async with session.get(url(wire, "/app/files/big.bin"), headers={"Range": "bytes=3-5"}) as answer:
                assert (answer.status, await answer.read()) == (206, b"big")
            async with session.get(url(wire, "/app/packed")) as answer:
                assert answer.headers["content-encoding"] in ("deflate", "gzip")
                assert await answer.text() == "z" * 5000
            async with session.get(url(wire, "/app/away"), allow_redirects=False) as answer:
                assert (answer.status, answer.headers["location"]) == (302, "/elsewhere")
            async with session.get(url(wire, "/app/nothing")) as answer:
                assert answer.status == 404
            async with session.head(url(wire, "/app/files/big.bin")) as answer:
                assert (answer.status, answer.headers["content-length"]) == (200, "1200000")
        await mount.stop()

    play(scenario)


@pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning")
def test_websockets_and_streams_of_an_aiohttp_application(tmp_path):
    async def scenario(wire):
        app = aiohttp_app(tmp_path)
        mount = wire.rest.mount_aiohttp("/app/", app, summary="an application")
        await mount.start()
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url(wire, "/app/ws"), protocols=("chat",)) as socket:
                assert socket.protocol == "chat"
                await socket.send_str("hé")
                assert await socket.receive_str() == "hé"
                await socket.send_bytes(b"\x00" * 70_000)
                assert await socket.receive_bytes() == b"\x00" * 70_000
                await socket.send_str("bye")
                last = await socket.receive()
                assert (last.type, last.data, last.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "bye")
            async with session.ws_connect(url(wire, "/app/ws")) as socket:
                await socket.send_str("one")
                assert await socket.receive_str() == "one"
        client = await wire.client()
        await client.send(b"GET /app/stream HTTP/1.1\r\n" + HOST + b"\r\n")
        await client.exactly(100_000)
        await client.leave()
        await app["ended"].wait()
        await mount.stop()

    play(scenario)


def test_a_mount_that_was_not_started_is_an_error_of_the_service():
    async def scenario(wire):
        wire.rest.mount_aiohttp("/app/", web.Application(), summary="an application")
        client = await wire.client()
        assert (await client.get("/app/x")).status == 500
        assert "was not started" in str(wire.records[0].exc_info[1])

    play(scenario)
