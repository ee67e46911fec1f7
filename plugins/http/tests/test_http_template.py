"""Expressions as path templates: known ones, and the promise that the route answers a template that is filled in."""

import re
import string
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http._template import templates

# What libmtev and its modules register, and what people write.
KNOWN = [
    (r"^items/(\d+)$", ["items/{capture1}"]),
    (r"^(?P<kind>\w+)/(?P<id>\d+)/edit$", ["{kind}/{id}/edit"]),
    (r"^memory\.json$", ["memory.json"]),
    (r"^show.json$", ["show{part1}json"]),
    (r"^logs/(.+)\.json$", ["logs/{capture1}.json"]),
    (r"^cluster(/(..*?))?(\.json)?$", ["cluster", "cluster.json", "cluster/{capture2}", "cluster/{capture2}.json"]),
    (r"^health(?:/(.+))?$", ["health", "health/{capture1}"]),
    (r"^(livez|readyz)$", ["{capture1}"]),
    (r"^(?:a|b)/c$", ["a/c", "b/c"]),
    (r"^a$|^b$", ["a", "b"]),
    (r"^colou?r$", ["color", "colour"]),
    (r"^[.]well-known/x y$", [".well-known/x%20y"]),
    (r"^\{x\}$", ["%7Bx%7D"]),
    (r"^((\w+)-(\w+))/$", ["{capture2}-{capture3}/"]),
    (r"^\d{4}-\d\d/\S+$", ["{part1}-{part2}/{part3}"]),
    (r"^(ab)+$", ["{capture1}"]),
    (r"\A(\w+)\Z", ["{capture1}"]),
    ("^$", [""]),
]


@pytest.mark.parametrize(("expression", "paths"), KNOWN)
def test_anchored_expressions_are_exact(expression, paths):
    found = templates(expression)
    assert [each.path for each in found] == paths
    assert all(each.exact and not each.guess for each in found)


@pytest.mark.parametrize(
    ("expression", "paths"),
    [(r"capa(\.json)?", ["capa", "capa.json"]), ("^a", ["a"]), ("a$|^b$", ["a", "b"]), ("", [""])],
)
def test_what_is_not_anchored_is_not_exact(expression, paths):
    found = templates(expression)
    assert [each.path for each in found] == paths
    assert not any(each.exact or each.guess for each in found)


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        (r"^items/(?!none)(\w+)$", "items/{rest}"),
        (r"^(a)/\1$", "{rest}"),
        (r"(?i)^items$", "{rest}"),
        (r"^a\tb$", "a{rest}"),
        (r"^word\b.*$", "word{rest}"),
        (r"^a++$", "{rest}"),
        ("^(?:a|b)(?:a|b)(?:a|b)(?:a|b)$", "{rest}"),
        (f"^{'(?:a' * 30}{')' * 30}$", "{rest}"),
        ("^a(?:b$|c)", "a{rest}"),
    ],
)
def test_what_no_template_can_say_is_a_guess(expression, path):
    (found,) = templates(expression)
    assert (found.path, found.exact, found.guess) == (path, False, True)


def test_parameters_have_names_patterns_and_choices():
    (found,) = templates(r"^(?P<id>\d+)/(\w+)/(on|off|\.x)/(.*)$", ("ignored", "kind of"))
    assert [(each.name, each.pattern, each.choices, each.slashes) for each in found.parameters] == [
        ("id", r"^(?:\d+)$", (), False),
        ("kind_of", r"^(?:\w+)$", (), False),
        ("capture3", r"^(?:on|off|\.x)$", ("on", "off", ".x"), False),
        ("capture4", "^(?:.*)$", (), True),
    ]


def test_names_are_unique_within_a_template():
    (found,) = templates(r"^(\d+)-(\d+)-\d+$", ("part1", "part1"))
    assert found.path == "{part1}-{part1_}-{part1__}"


def test_no_pattern_that_others_read_otherwise():
    assert [each.pattern for each in templates(r"^([]a]+)-([^]]+)$")[0].parameters] == ["", ""]


# An expression is a sequence of pieces: text, captures, what varies, what is optional, and alternatives.
letters = st.text(string.ascii_letters + string.digits + "-_./ {}()+äß%", min_size=1, max_size=6).map(re.escape)
bodies = st.sampled_from([r"\d+", r"\w+", "[a-z]{2,4}", ".+", "[^/]+", "(?:a|bc)", "x|yz", "a?b", r"[\w.-]*", "..*?"])
captures = st.one_of(
    bodies.map("({})".format),
    st.tuples(st.sampled_from("abcdefgh"), bodies).map(lambda pair: f"(?P<{pair[0]}>{pair[1]})"),
)
atoms = st.one_of(letters, captures, bodies.filter(lambda body: "|" not in body), st.sampled_from([".", r"\d", "[ab]"]))
pieces = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{''.join(parts)})?"),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({''.join(parts)})?"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.tuples(inner, st.sampled_from(["*", "+", "{2}", "{1,3}", "??"])).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=6,
)


@st.composite
def expressions(draw):
    text = "".join(draw(st.lists(pieces, max_size=4)))
    names = re.findall(r"\(\?P<(\w)>", text)
    for position, name in enumerate(names):  # a name may stand there once
        text = text.replace(f"(?P<{name}>", f"(?P<n{position}>", 1)
    return f"{draw(st.sampled_from(['^', '']))}{text}{draw(st.sampled_from(['$', '']))}"


def filled(template, draw):
    path = template.path
    for parameter in template.parameters:
        if parameter.choices:
            value = draw(st.sampled_from(parameter.choices))
        else:
            value = draw(
                st.from_regex(re.compile(parameter.pattern), fullmatch=True).filter(lambda text: "\n" not in text)
            )
        path = path.replace(f"{{{parameter.name}}}", quote(value, ""), 1)
    return unquote(path)


@given(expressions(), st.data())
def test_a_filled_template_is_answered(expression, data):
    for template in templates(expression):
        names = re.findall(r"\{([^{}]+)\}", template.path)
        assert names == [each.name for each in template.parameters]
        assert len(set(names)) == len(names)
        if not template.guess and all(each.pattern or each.choices for each in template.parameters):
            path = filled(template, data.draw)
            assert re.search(expression, path), (template, path)


@given(expressions())
def test_patterns_compile_and_templates_are_few(expression):
    found = templates(expression)
    assert 1 <= len(found) <= 8
    assert len({each.path for each in found}) <= len(found)
    for template in found:
        assert template.path.isascii()
        for parameter in template.parameters:
            re.compile(parameter.pattern)


@given(st.text("ab/.^$|?*+(){}[]\\dwPi<>:=!,12-", max_size=20))
def test_anything_that_compiles_has_a_template(expression):
    try:
        re.compile(expression)
    except (re.error, OverflowError, FutureWarning):
        return
    assert templates(expression)
