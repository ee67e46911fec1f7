"""The OpenAPI document: valid, complete, and true."""

import dataclasses
import json
import re
from typing import Annotated, Literal
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

from mtev_http import Documentation, Parameter, Route, RouteError, WebSocketOptions
from mtev_http._openapi import Information, Security, openapi

NOTHING = Security()


@dataclasses.dataclass
class Item:
    """Something."""

    number: int
    tags: list[str]


class Order(msgspec.Struct):
    items: list[Item]
    note: str | None = None


def another_item():
    @dataclasses.dataclass
    class Item:
        colour: str

    return Item


def handler(request):
    raise AssertionError("nobody calls it")


def route(method="GET", expression="^x$", base="/acme/", summary="shows x", **more):
    if method == "WS":
        more.setdefault("websocket", WebSocketOptions(("chat",)))
    return Route(method, base, expression, handler, summary, **more)


def documented(*routes, security=NOTHING):
    """The document, once it is sent, checked, and with every operation in one list."""
    document = json.loads(msgspec.json.encode(openapi(routes, Information("app", "1.0", "text"), security)))
    errors = [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()]
    assert not errors, errors
    hierarchies = [re.sub(r"\{[^{}]*\}", "{}", path) for path in document["paths"]]
    assert len(set(hierarchies)) == len(hierarchies)
    return document


def operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if not method.startswith("x-"):
                yield path, method, operation
        for method, operation in item.get("x-mtev-methods", {}).items():
            yield path, method, operation
        for operation in item.get("x-mtev-further", []):
            yield path, "", operation


def test_an_operation_says_what_the_route_says():
    document = documented(
        route(
            "PUT",
            r"^items/(\d+)$",
            name="replace_item",
            summary="Replaces an item",
            documentation=Documentation(
                text="*All* of it.",
                parameters=[
                    Parameter("dry", "change nothing", bool),
                    Parameter("mode", "how", Literal["a", "b"], required=True),
                    Parameter("n", "how many", Annotated[int, msgspec.Meta(ge=1)]),
                ],
                captures=["number"],
                body=Item,
                responses={201: Item, 204: None, 409: "It is in use.", 422: bytes},
            ),
        )
    )
    assert list(document["paths"]) == ["/acme/items/{number}"]
    operation = document["paths"]["/acme/items/{number}"]["put"]
    item = {"$ref": "#/components/schemas/Item"}
    responses = operation.pop("responses")
    assert operation == {
        "operationId": "replace_item",
        "summary": "Replaces an item",
        "tags": ["/acme/"],
        "description": "*All* of it.",
        "parameters": [
            {"name": "number", "in": "path", "required": True, "schema": {"type": "string", "pattern": r"^(?:\d+)$"}},
            {
                "name": "dry",
                "in": "query",
                "description": "change nothing",
                "required": False,
                "schema": {"type": "boolean"},
            },
            {"name": "mode", "in": "query", "description": "how", "required": True, "schema": {"enum": ["a", "b"]}},
            {
                "name": "n",
                "in": "query",
                "description": "how many",
                "required": False,
                "schema": {"type": "integer", "minimum": 1},
            },
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": item}}},
        "x-mtev-base": "/acme/",
        "x-mtev-expression": r"^items/(\d+)$",
    }
    assert responses["201"] == {"description": "Created", "content": {"application/json": {"schema": item}}}
    assert responses["204"] == {"description": "No Content"}
    assert responses["409"] == {"description": "It is in use."}
    assert {"400", "403", "404", "408", "413", "500", "503"} <= set(responses)
    assert "200" not in responses
    assert document["components"]["schemas"]["Item"]["required"] == ["number", "tags"]
    assert document["info"] == {"title": "app", "version": "1.0", "description": "text"}


def test_errors_have_the_shape_that_they_have():
    document = documented(route())
    responses = document["paths"]["/acme/x"]["get"]["responses"]
    assert responses["200"] == {"description": "OK", "content": {"application/json": {}}}
    assert set(responses) == {"200", "400", "403", "404", "500", "503"}

    def required(status):
        response = document["components"]["responses"][responses[status]["$ref"].rpartition("/")[2]]
        name = response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][name]
        return schema["required"], set(schema["properties"])

    assert required("404") == (["error"], {"error"})
    assert required("500") == (["error"], {"error", "id"})


def test_content_types():
    texts = documented(
        route(expression="^a$", documentation=Documentation(content_type="text/plain", responses={200: str})),
        route("POST", "^b$", documentation=Documentation(body=bytes, content_type="text/csv")),
        route("POST", "^c$", documentation=Documentation(body=str)),
    )["paths"]
    assert texts["/acme/a"]["get"]["responses"]["200"]["content"] == {"text/plain": {"schema": {"type": "string"}}}
    assert texts["/acme/b"]["post"]["requestBody"]["content"] == {"*/*": {}}
    assert texts["/acme/b"]["post"]["responses"]["200"]["content"] == {"text/csv": {}}
    assert "text/plain" in texts["/acme/c"]["post"]["requestBody"]["content"]


def test_types_of_one_name_get_two_and_what_cannot_be_described_is_named():
    document = documented(
        route(expression="^a$", documentation=Documentation(responses={200: Order})),
        route(expression="^b$", documentation=Documentation(responses={200: another_item()})),
        route(expression="^c$", documentation=Documentation(responses={200: complex})),
    )
    assert {"Item", "Item_2", "Order"} < set(document["components"]["schemas"])
    assert document["paths"]["/acme/c"]["get"]["responses"]["200"]["content"]["application/json"]["schema"] == {
        "x-mtev-type": "complex"
    }


def test_websockets_are_a_get_that_answers_101():
    document = documented(route("WS", "^feed$"))
    operation = document["paths"]["/acme/feed"]["get"]
    assert operation["x-mtev-websocket"] == {"protocols": ["chat"]}
    assert {"101", "426"} <= set(operation["responses"])
    assert "200" not in operation["responses"]


def test_head_and_options_are_not_listed_and_odd_methods_are_beside():
    item = documented(route("HEAD"), route("OPTIONS"), route("MERGE"), route("PATCH"), route("*"))["paths"]["/acme/x"]
    assert set(item) == {"patch", "x-mtev-methods"}
    assert item["x-mtev-methods"]["MERGE"]["operationId"] == "merge_acme_x"
    assert item["x-mtev-methods"]["*"]["operationId"] == "acme_x"


def test_optional_parts_make_two_paths():
    document = documented(route(expression=r"^health(?:/(.+))?$", name="health"))
    found = {path: operation["operationId"] for path, _, operation in operations(document)}
    assert found == {"/acme/health": "health", "/acme/health/{capture1}": "health_2"}
    slashed = document["paths"]["/acme/health/{capture1}"]["get"]["parameters"][0]
    assert "slashes" in slashed["description"]


def test_what_is_not_said_exactly_is_marked():
    document = documented(route(expression="^a"), route(expression=r"^b(?!c)"), route(expression="^c$"))
    marked = {path: operation.get("x-mtev-inexact") for path, _, operation in operations(document)}
    assert marked == {"/acme/a": True, "/acme/b{rest}": True, "/acme/c": None}


def test_methods_of_one_path_share_it_whatever_their_parameters_are_called():
    document = documented(
        route(expression=r"^items/(?P<id>\d+)$"), route("DELETE", r"^items/(\d+)$"), route("WS", r"^items/(\d+)$")
    )
    first, second = document["paths"]
    assert (first, second) == ("/acme/items/{id}", "/%61cme/items/{capture1}")
    assert set(document["paths"][first]) == {"get", "delete"}
    assert document["paths"][first]["delete"]["parameters"][0]["name"] == "id"
    assert document["paths"][second]["get"]["x-mtev-same-path-as"] == first
    assert unquote(second).startswith("/acme/items/")


def test_routes_that_collide_are_kept_apart():
    document = documented(
        *(route(expression=f"^items/({kind})$") for kind in (r"\d+", "[a-f]", "[g-z]", "new|old")),
        *(route(base="/", expression=f"^({kind})$") for kind in (r"\d+", "[a-f]")),
    )
    found = [(path, operation["x-mtev-expression"]) for path, _, operation in operations(document)]
    assert len(found) == 6
    assert [unquote(path) for path, _ in found[:4]] == ["/acme/items/{capture1}"] * 4
    assert [path for path, _ in found[4:]] == ["/{capture1}"] * 2
    assert document["paths"]["/{capture1}"]["x-mtev-further"][0]["x-mtev-expression"] == "^([a-f])$"
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == 6


def test_names_are_unique_and_those_given_come_first():
    document = documented(
        route(expression="^a$"),
        route(expression="^b$", name="get_acme_a"),
        route(expression="^c$", name="twice"),
        route(expression="^d$", name="twice"),
        route(base="/ö {}/", expression=r"^\{$"),
    )
    assert [operation["operationId"] for _, _, operation in operations(document)] == [
        *("get_acme_a_2", "get_acme_a", "twice", "twice_2", "get")
    ]
    assert list(document["paths"])[-1] == "/%C3%B6%20%7B%7D/%7B"


def test_security_is_for_others_to_say():
    assert "security" not in documented(route())
    security = Security({"basic": {"type": "http", "scheme": "basic"}}, [{"basic": []}])
    document = documented(
        route(expression="^a$"),
        route(expression="^b$", auth=False),
        route(expression="^c$", auth=bool),
        security=security,
    )
    assert document["components"]["securitySchemes"] == {"basic": {"type": "http", "scheme": "basic"}}
    assert document["security"] == [{"basic": []}]
    said = {path: operation.get("security") for path, _, operation in operations(document)}
    assert said == {"/acme/a": None, "/acme/b": [], "/acme/c": None}
    assert "403" not in document["paths"]["/acme/b"]["get"]["responses"]


@pytest.mark.parametrize("count", [0, 60])
def test_any_number_of_routes(count):
    document = documented(*(route(expression=f"^item{number}/([a-z]+)$") for number in range(count)))
    assert len(document["paths"]) == count


expressions = st.one_of(
    st.sampled_from(
        [r"^items/(\d+)$", r"^items/(?P<id>\w+)$", "^items(/(.+))?$", "items", "^$", "", "^(?!x)", r"^\W\{a\}$"]
    ),
    st.lists(st.sampled_from(["a", "/", r"(\d+)", "(b)?", r"\.", "[cd]", "(x|y)", "{2}", " "]), max_size=5).map(
        "".join
    ),
).filter(lambda text: not text.startswith("{"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["GET", "PUT", "WS", "MERGE"]),
            expressions,
            st.sampled_from(["/", "/acme/", "/a{b}/"]),
            st.sampled_from(["", "name", "get_acme_items"]),
        ),
        max_size=8,
        unique_by=lambda each: each[:3],
    )
)
def test_any_routes_make_a_valid_document(given_routes):
    routes = []
    for method, expression, base, name in given_routes:
        try:
            routes.append(route(method, expression, base, name=name))
        except RouteError:
            continue
    document = documented(*routes)
    found = list(operations(document))
    names = [operation["operationId"] for _, _, operation in found]
    assert len(set(names)) == len(names)
    shown = {(operation["x-mtev-base"], operation["x-mtev-expression"]) for _, _, operation in found}
    assert shown == {(each.base, each.expression) for each in routes}
    for path, _, operation in found:
        declared = [each["name"] for each in operation.get("parameters", []) if each["in"] == "path"]
        assert re.findall(r"\{([^{}]+)\}", path) == declared
