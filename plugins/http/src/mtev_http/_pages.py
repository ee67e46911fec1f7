"""What the service says of itself over HTTP: its routes for people, tools and libmtev's scripts, and how it is.

    GET /mtev/            the index, as text or, for browsers, as a page
    GET /mtev/rest.json   the routes in libmtev's shape
    GET /openapi.json     the routes as OpenAPI has them
    GET /livez            200 from whoever is alive
    GET /readyz           200, or 503 while something is not ready; ?verbose says what, ?exclude=NAME leaves it out

The first three are under access control, for they tell what there is to attack. The last two are for load balancers and
orchestrators, which have no way to show who they are: they are open, but for `verbose`, which access control judges.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from mtev_kernel import PluginRecord

from ._health import HEALTH_TYPES, Health, livez, readyz
from ._index import INDEX_HEADERS, INDEX_TYPES, disclosed, index_html, index_text
from ._negotiation import choose_type
from ._openapi import Information, Security, openapi
from ._request import Request
from ._response import Response
from ._route import Documentation, Parameter, Route
from .rest import Rest

__all__ = ["Pages"]

_NO_STORE = {"Cache-Control": "no-store"}


class Pages:
    """The routes that are about the service itself.

    Args:
        rest: which they are about, and are added to.
        information: what the service is called; asked when somebody wants to know.
        security: what clients have to show; likewise.
        plugins: every plugin, enabled or not.
        draining: whether the service is about to end.
        allowed: whether the access control lists let a request in.
    """

    def __init__(
        self,
        rest: Rest,
        *,
        information: Callable[[], Information],
        plugins: Callable[[], Iterable[PluginRecord]],
        draining: Callable[[], bool],
        allowed: Callable[[Request], bool],
        security: Callable[[], Security] = Security,
    ) -> None:
        self._rest = rest
        self._information = information
        self._security = security
        self._plugins = plugins
        self._draining = draining
        self._allowed = allowed
        self._made: tuple[tuple[tuple[Route, ...], Information, Security], bytes] | None = None

    def add(self) -> None:
        """Add the routes.

        Raises:
            RouteError: one of them is there already.
        """
        add = self._rest.add
        add("GET", "/mtev/", "^$", self._index, summary="the routes of this service, for people", name="index")
        add("GET", "/mtev/", r"^rest\.json$", self._disclose, summary="the routes of this service", name="rest")
        add("GET", "/", r"^openapi\.json$", self._openapi, summary="this service as OpenAPI has it", name="openapi")
        add(
            "GET",
            "/",
            "^livez$",
            self._livez,
            summary="whether the service is alive",
            auth=False,
            name="livez",
            documentation=Documentation(content_type="text/plain"),
        )
        add(
            "GET",
            "/",
            "^readyz$",
            self._readyz,
            summary="whether the service is ready for work",
            auth=self._may_ask,
            name="readyz",
            documentation=Documentation(
                parameters=[
                    Parameter("verbose", "say which plugin is not ready, and why; access control judges that"),
                    Parameter("exclude", "name of a plugin that does not count; may be repeated"),
                ],
                responses={200: str, 503: "Something is not ready."},
                content_type="text/plain",
            ),
        )

    def _index(self, request: Request) -> Response:
        information = self._information()
        title = f"{information.title} {information.version}"
        if choose_type(request.headers.get("accept", ""), INDEX_TYPES) == "text/html":
            page = index_html(self._rest.routes, title)
            return Response(200, page, content_type="text/html; charset=utf-8", headers=INDEX_HEADERS)
        return Response(200, index_text(self._rest.routes, title), headers=INDEX_HEADERS)

    def _disclose(self, request: Request) -> Response:
        data = msgspec.json.encode(disclosed(self._rest.routes)) + b"\n"
        return Response(200, data, content_type="application/json")

    def _openapi(self, request: Request) -> Response:
        wanted = (self._rest.routes, self._information(), self._security())
        made = self._made
        if made is None or made[0] != wanted:
            made = self._made = (wanted, msgspec.json.encode(openapi(*wanted)) + b"\n")
        return Response(200, made[1], content_type="application/json")

    def _livez(self, request: Request) -> Response:
        return _told(livez(json=_wants_json(request)))

    def _readyz(self, request: Request) -> Response:
        query = request.query
        health = readyz(
            self._plugins(),
            draining=self._draining(),
            verbose="verbose" in query,
            exclude=query.all("exclude"),
            json=_wants_json(request),
        )
        return _told(health)

    def _may_ask(self, request: Request) -> bool:
        return "verbose" not in request.query or self._allowed(request)


def _wants_json(request: Request) -> bool:
    return choose_type(request.headers.get("accept", ""), HEALTH_TYPES) == "application/json"


def _told(health: Health) -> Response:
    return Response(health.status, health.body, content_type=health.content_type, headers=_NO_STORE)
