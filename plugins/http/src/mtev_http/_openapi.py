"""The routes as an OpenAPI 3.1 document, for `/openapi.json`. Pure.

1. A route is an operation, in the path of each of its templates (see `_template`); its base and its expression, which
   are the truth, stand beside it as `x-mtev-base` and `x-mtev-expression`, and `x-mtev-inexact` where they say more.
2. HEAD and OPTIONS are not listed: they come with the others. Methods that OpenAPI does not know (and `*`, for routes
   that answer all of them) are in `x-mtev-methods` of their path. A websocket is a GET that answers 101, with
   `x-mtev-websocket`.
3. Paths that only differ in the names of their parameters are one path to OpenAPI, and a path has one operation for a
   method. Routes that would share one are kept apart: a letter of the second path is percent-encoded, which means the
   same to whoever asks for it, and `x-mtev-same-path-as` says so. Where no letter is left, it is in `x-mtev-further`.
4. What every route may answer with is described once. 405 is not among it: what is listed has its method.
5. What a client has to show is for others to say: `Security`. Routes that ask nobody say that they need nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from urllib.parse import unquote

from ._route import WEBSOCKET, Documentation, Route
from ._schemas import Schemas
from ._template import PathParameter, Template, encoded, templates

__all__ = ["Information", "Security", "openapi"]

_VERSION = "3.1.1"
_METHODS = ("GET", "PUT", "POST", "DELETE", "PATCH", "TRACE")
_NOT_LISTED = ("HEAD", "OPTIONS")
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9]+")
_PARAMETER = re.compile(r"\{[^{}]*\}")
_LETTER = re.compile(r"%[0-9A-Fa-f]{2}|\{[^{}]*\}|([A-Za-z0-9])")
_MAX_APART = 64
_ERROR, _FAILURE = "http.Error", "http.Failure"
_COMMON = {400: "BadRequest", 403: "Denied", 404: "NotFound", 408: "BodyTimeout", 413: "BodyTooLarge"}
_FAILURES = {500: "InternalError", 503: "Unavailable"}

Object = dict[str, object]


@dataclass(frozen=True, slots=True)
class Information:
    """What a document says of the service.

    Args:
        title: its name.
        version: its version; any text.
        description: Markdown.
    """

    title: str
    version: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Security:
    """What clients have to show.

    Args:
        schemes: Security Scheme Objects by name, for `components`.
        requirements: of which each route that is not open wants one; none for saying nothing.
    """

    schemes: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    requirements: Sequence[Mapping[str, Sequence[str]]] = ()


_NO_SECURITY = Security()


def openapi(routes: Sequence[Route], information: Information, security: Security = _NO_SECURITY) -> Object:
    """The document, as data that msgspec encodes.

    Args:
        routes: in the order of adding.
        information: about the service.
        security: what clients have to show.
    """
    listed = [route for route in routes if route.method not in _NOT_LISTED]
    schemas = Schemas({_ERROR: _object("error"), _FAILURE: _object("error", "id", required=1)})
    names = _Names(listed)
    paths = _Paths()
    for route in listed:
        for template in templates(route.expression, route.documentation.captures):
            template = replace(template, path=f"{encoded(route.base)}{template.path}")
            paths.add(route.method, template, partial(_operation, route, schemas, names, security))
    info: Object = {"title": information.title, "version": information.version}
    if information.description:
        info["description"] = information.description
    components: Object = {"schemas": schemas.components, "responses": dict(_responses())}
    if security.schemes:
        components["securitySchemes"] = {name: dict(scheme) for name, scheme in security.schemes.items()}
    document: Object = {
        "openapi": _VERSION,
        "info": info,
        "tags": [{"name": base} for base in sorted({route.base for route in listed})],
        "paths": paths.items,
        "components": components,
    }
    if security.requirements:
        document["security"] = [_requirement(each) for each in security.requirements]
    return document


class _Names:
    """What operations are called. Names that routes have come first; none is given twice."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._reserved = {route.name for route in routes if route.name}
        self._given: set[str] = set()

    def of(self, route: Route, path: str) -> str:
        """A name for one operation of a route."""
        made = "_".join(part for part in _NOT_IN_IDS.split(f"{route.method.lower()} {unquote(path)}") if part)
        name = route.name or made
        number, unique = 1, name
        while unique in self._given or (unique in self._reserved and unique != route.name):
            number += 1
            unique = f"{name}_{number}"
        self._given.add(unique)
        return unique


class _Paths:
    """The paths of a document, unique in what they mean; see rule 3."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, object]] = {}
        self._known: dict[str, Template] = {}

    def add(self, method: str, template: Template, operation: Callable[[Template], Object]) -> None:
        """Add an operation, made for the template as it is placed."""
        key = _key(method)
        first: Template | None = None
        for path in _spellings(template.path):
            placed = self._place(path, template)
            item = self.items.setdefault(placed.path, {})
            if not _taken(item, key, method):
                made = operation(placed)
                if first is not None:
                    made["x-mtev-same-path-as"] = first.path
                if key:
                    item[key] = made
                else:
                    _below(item, "x-mtev-methods")[method] = made
                return
            first = first or placed
        assert first is not None, "a path has at least one spelling"
        further = self.items[first.path].setdefault("x-mtev-further", [])
        assert isinstance(further, list), "made just above"
        further.append(operation(first))

    def _place(self, path: str, template: Template) -> Template:
        """A template under the path, and with the names of parameters, of one that means the same if there is one."""
        known = self._known.setdefault(_PARAMETER.sub("{}", path), replace(template, path=path))
        parameters = tuple(
            replace(parameter, name=other.name)
            for parameter, other in zip(template.parameters, known.parameters, strict=True)
        )
        return replace(template, path=known.path, parameters=parameters)


def _key(method: str) -> str:
    """Under which name OpenAPI has a method; `""` when it has none."""
    if method == WEBSOCKET:
        return "get"
    return method.lower() if method in _METHODS else ""


def _taken(item: Mapping[str, object], key: str, method: str) -> bool:
    if key:
        return key in item
    methods = item.get("x-mtev-methods", {})
    return isinstance(methods, dict) and method in methods


def _below(item: dict[str, object], name: str) -> Object:
    value = item.setdefault(name, {})
    assert isinstance(value, dict), "an object of ours"
    return value


def _spellings(path: str) -> Iterator[str]:
    """A path, and others that mean the same: letters percent-encoded, one at first, then several, from the left."""
    yield path
    letters = [found.start() for found in _LETTER.finditer(path) if found[1]]
    for number in range(1, min(_MAX_APART, 1 << min(len(letters), 16))):
        spelled = list(path)
        for bit, position in enumerate(letters[:16]):
            if number >> bit & 1:
                spelled[position] = f"%{ord(path[position]):02X}"
        yield "".join(spelled)


def _operation(route: Route, schemas: Schemas, names: _Names, security: Security, template: Template) -> Object:
    documentation = route.documentation
    operation: Object = {"operationId": names.of(route, template.path), "summary": route.summary, "tags": [route.base]}
    if documentation.text:
        operation["description"] = documentation.text
    parameters = [*map(_path_parameter, template.parameters), *_query_parameters(documentation, schemas)]
    if parameters:
        operation["parameters"] = parameters
    if documentation.body is not None:
        operation["requestBody"] = {"required": True, "content": _content(documentation.body, schemas)}
    operation["responses"] = dict(_answers(route, schemas))
    if security.requirements and route.auth is False:
        operation["security"] = []
    operation["x-mtev-base"] = route.base
    operation["x-mtev-expression"] = route.expression
    if not template.exact:
        operation["x-mtev-inexact"] = True
    if route.websocket is not None:
        operation["x-mtev-websocket"] = {"protocols": list(route.websocket.protocols)}
    return operation


def _path_parameter(parameter: PathParameter) -> Object:
    schema: Object = {"type": "string"}
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    elif parameter.pattern:
        schema["pattern"] = parameter.pattern
    described: Object = {"name": parameter.name, "in": "path", "required": True, "schema": schema}
    if parameter.slashes:
        described["description"] = "May hold slashes, as they are or as %2F."
    return described


def _query_parameters(documentation: Documentation, schemas: Schemas) -> Iterator[Object]:
    named = {each.name: each for each in documentation.parameters}
    for parameter in named.values():
        yield {
            "name": parameter.name,
            "in": "query",
            "description": parameter.summary,
            "required": parameter.required,
            "schema": schemas.of(parameter.kind),
        }


def _answers(route: Route, schemas: Schemas) -> Iterator[tuple[str, Object]]:
    """The responses of a route, its own before those that any may give."""
    documentation = route.documentation
    own = dict(documentation.responses)
    if route.websocket is not None:
        own.setdefault(101, "The websocket begins.")
        own.setdefault(426, "Another version of the protocol.")
    elif not any(status < 400 for status in own):
        own[200] = _ANYTHING
    for status, kind in sorted(own.items()):
        yield str(status), _response(status, kind, documentation.content_type, schemas)
    common = [400, 404] if route.auth is False else [400, 403, 404]
    if documentation.body is not None:
        common += [408, 413]
    for status in (*common, *_FAILURES):
        if status not in own:
            yield str(status), {"$ref": f"#/components/responses/{_COMMON.get(status) or _FAILURES[status]}"}


_ANYTHING = object()


def _response(status: int, kind: type | object, content_type: str, schemas: Schemas) -> Object:
    response: Object = {"description": kind if isinstance(kind, str) else _phrase(status)}
    if kind is _ANYTHING:
        response["content"] = {content_type: {}}
    elif kind is not None and not isinstance(kind, str):
        if status >= 400:
            content_type = "application/json"
        response["content"] = {content_type: {} if kind is bytes else {"schema": schemas.of(kind)}}
    return response


def _content(kind: type | object, schemas: Schemas) -> Object:
    """What a body of a type is sent as."""
    if kind is bytes:
        return {"*/*": {}}
    if kind is str:
        return {"text/plain": {"schema": {"type": "string"}}}
    return {"application/json": {"schema": schemas.of(kind)}}


def _responses() -> Iterator[tuple[str, Object]]:
    """What every route may answer with, by name."""
    for status, name in (*_COMMON.items(), *_FAILURES.items()):
        schema = _FAILURE if status == 500 else _ERROR
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
        yield name, {"description": _phrase(status), "content": content}


def _object(*names: str, required: int | None = None) -> Object:
    """The schema of an object of texts, of which the first ones are required."""
    properties = {name: {"type": "string"} for name in names}
    return {"type": "object", "properties": properties, "required": list(names[:required])}


def _requirement(requirement: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {name: list(scopes) for name, scopes in requirement.items()}


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
