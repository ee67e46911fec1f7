"""The peers of `web.py`: each serves the same twenty routes until it is killed.

Usage: python bench/web_servers.py NAME PORT FOLDER [--tls]

`/hello` says 13 bytes of text; `/api/items/42`, the last of the routes, a small JSON object with its number. Frameworks
route and encode with what they bring. The bare ones, which bring neither, take one compiled expression and msgspec, the
best that there is: who is measured beside them shall not look better for it. FOLDER is for logs, and with `--tls` holds
`cert.pem` and `key.pem`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

HELLO = "Hello, world!"
OTHERS = [f"r{number:02}" for number in range(18)]  # and /hello, and the items: twenty
BARE = re.compile("|".join([*(rf"/api/{name}/(?:\d+)" for name in OTHERS), r"/api/items/(\d+)"]))


def item(number):
    return {"id": int(number), "name": f"item {number}", "tags": ["a", "b", "c"], "price": 12.5}


@dataclass(frozen=True)
class Place:
    """Where a server is to serve."""

    port: int
    folder: str
    tls: bool

    @property
    def certificate(self):
        return str(Path(self.folder, "cert.pem")) if self.tls else None

    @property
    def key(self):
        return str(Path(self.folder, "key.pem")) if self.tls else None

    def context(self):
        if not self.tls:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def bare_answer(path):
    """Status, media type and body, for those that bring no router."""
    import msgspec

    if path == "/hello":
        return 200, "text/plain; charset=utf-8", HELLO.encode()
    found = BARE.fullmatch(path)
    if found is not None and found[1]:
        return 200, "application/json", msgspec.json.encode(item(found[1]))
    return 404, "text/plain", b"not found"


def file_logger(place):
    """What a service logs with that keeps an access log in the usual way."""
    logger = logging.getLogger("bench.access")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.FileHandler(Path(place.folder, "access.log"))
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    return logger


# aiohttp


def on_uvloop(main):
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def aiohttp_server(place, *, log=False):
    from aiohttp import web

    async def handle(request):
        status, kind, body = bare_answer(request.path)
        return web.Response(status=status, body=body, headers={"Content-Type": kind})

    async def main():
        server = web.Server(handle, access_log=file_logger(place) if log else None)
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(server, "127.0.0.1", place.port, ssl=place.context(), backlog=1024)
        await listening.serve_forever()

    on_uvloop(main())


def aiohttp_app(place, *, log=False):
    from aiohttp import web

    async def hello(request):
        return web.Response(text=HELLO)

    async def items(request):
        return web.json_response(item(request.match_info["number"]))

    async def main():
        app = web.Application()
        app.router.add_get("/hello", hello)
        for name in [*OTHERS, "items"]:
            app.router.add_get(rf"/api/{name}/{{number:\d+}}", items)
        runner = web.AppRunner(app, access_log=file_logger(place) if log else None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", place.port, ssl_context=place.context(), backlog=1024)
        await site.start()
        await asyncio.Event().wait()

    on_uvloop(main())


# ASGI and RSGI


async def asgi(scope, receive, send):
    """A bare ASGI application."""
    if scope["type"] != "http":
        return
    status, kind, body = bare_answer(scope["path"])
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def rsgi(scope, protocol):
    """A bare RSGI application."""
    status, kind, body = bare_answer(scope.path)
    protocol.response_bytes(status, [("content-type", kind)], body)


def on_uvicorn(app, place, *, log=False):
    import uvicorn

    if log:
        handler = file_logger(place).handlers[0]
        logging.getLogger("uvicorn.access").addHandler(handler)
        logging.getLogger("uvicorn.access").propagate = False
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=place.port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_config=None,
        log_level="info" if log else "warning",
        access_log=log,
        timeout_keep_alive=75,
        ssl_certfile=place.certificate,
        ssl_keyfile=place.key,
    )


def uvicorn_raw(place):
    on_uvicorn(asgi, place)


def starlette(place, *, log=False):
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    async def hello(request):
        return PlainTextResponse(HELLO)

    async def items(request):
        return JSONResponse(item(request.path_params["number"]))

    routes = [Route(f"/api/{name}/{{number:int}}", items) for name in [*OTHERS, "items"]]
    on_uvicorn(Starlette(routes=[Route("/hello", hello), *routes]), place, log=log)


def blacksheep(place):
    from blacksheep import Application
    from blacksheep.server.responses import json, text

    async def hello(request):
        return text(HELLO)

    async def items(request):
        return json(item(request.route_values["number"]))

    app = Application()
    app.router.add_get("/hello", hello)
    for name in [*OTHERS, "items"]:
        app.router.add_get(f"/api/{name}/{{int:number}}", items)

    async def started(scope, receive, send):
        if not app.started:
            await app.start()
        await app(scope, receive, send)

    on_uvicorn(started, place)


def falcon(place):
    import falcon as framework
    import falcon.asgi

    class Hello:
        async def on_get(self, request, response):
            response.content_type = framework.MEDIA_TEXT
            response.text = HELLO

    class Items:
        async def on_get(self, request, response, number):
            response.media = item(number)

    app = falcon.asgi.App()
    app.add_route("/hello", Hello())
    for name in [*OTHERS, "items"]:
        app.add_route(f"/api/{name}/{{number:int}}", Items())
    on_uvicorn(app, place)


def granian(place, *, interface):
    from granian import Granian

    Granian(
        f"web_servers:{interface}",
        address="127.0.0.1",
        port=place.port,
        interface=interface,
        loop="uvloop",
        log_enabled=False,
        backpressure=16384,
        ssl_cert=Path(place.certificate) if place.certificate else None,
        ssl_key=Path(place.key) if place.key else None,
    ).serve()


# Those with a server of their own


def sanic(place):
    from sanic import Sanic
    from sanic.response import json, text

    app = Sanic("bench", configure_logging=False)
    app.config.KEEP_ALIVE_TIMEOUT = 75

    @app.get("/hello")
    async def hello(request):
        return text(HELLO)

    async def items(request, number):
        return json(item(number))

    for name in [*OTHERS, "items"]:
        app.add_route(items, rf"/api/{name}/<number:\d+>", name=name)
    app.run("127.0.0.1", place.port, ssl=place.context(), single_process=True, access_log=False, motd=False)


def tornado(place):
    from tornado import web

    class Hello(web.RequestHandler):
        def get(self):
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.write(HELLO)

    class Items(web.RequestHandler):
        def get(self, number):
            self.write(item(number))

    async def main():
        routes = [(rf"/api/{name}/(\d+)", Items) for name in [*OTHERS, "items"]]
        app = web.Application([("/hello", Hello), *routes], log_function=lambda handler: None)
        app.listen(place.port, "127.0.0.1", ssl_options=place.context(), backlog=1024)
        await asyncio.Event().wait()

    on_uvloop(main())


def twisted(place):
    import json

    from twisted.internet import reactor
    from twisted.web import resource, server

    patterns = [re.compile(rb"^/api/" + name.encode() + rb"/(\d+)$") for name in [*OTHERS, "items"]]

    class Root(resource.Resource):
        isLeaf = True  # noqa: N815  # Twisted's name

        def render_GET(self, request):  # noqa: N802  # Twisted's name
            if request.path == b"/hello":
                request.setHeader(b"content-type", b"text/plain; charset=utf-8")
                return HELLO.encode()
            for pattern in patterns:
                if found := pattern.match(request.path):
                    request.setHeader(b"content-type", b"application/json")
                    return json.dumps(item(found[1].decode())).encode()
            request.setResponseCode(404)
            return b"not found"

    site = server.Site(Root())
    site.log = lambda request: None
    if place.tls:
        from twisted.internet import ssl as twisted_ssl

        context = twisted_ssl.DefaultOpenSSLContextFactory(place.key, place.certificate)
        reactor.listenSSL(place.port, site, context, backlog=1024, interface="127.0.0.1")
    else:
        reactor.listenTCP(place.port, site, backlog=1024, interface="127.0.0.1")
    reactor.run()


SERVERS = {
    "aiohttp-server": aiohttp_server,
    "aiohttp-server-log": lambda place: aiohttp_server(place, log=True),
    "aiohttp-app": aiohttp_app,
    "aiohttp-app-log": lambda place: aiohttp_app(place, log=True),
    "uvicorn": uvicorn_raw,
    "starlette": starlette,
    "starlette-log": lambda place: starlette(place, log=True),
    "granian-asgi": lambda place: granian(place, interface="asgi"),
    "granian-rsgi": lambda place: granian(place, interface="rsgi"),
    "blacksheep": blacksheep,
    "falcon": falcon,
    "sanic": sanic,
    "tornado": tornado,
    "twisted": twisted,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=SERVERS)
    parser.add_argument("port", type=int)
    parser.add_argument("folder")
    parser.add_argument("--tls", action="store_true")
    options = parser.parse_args()
    SERVERS[options.name](Place(options.port, options.folder, options.tls))


if __name__ == "__main__":
    main()
