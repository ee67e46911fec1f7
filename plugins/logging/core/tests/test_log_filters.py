"""The filter language: grammar, what is refused and where, and every rule against a naive evaluator."""

from __future__ import annotations

import operator
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtev_log.errors import FilterError
from mtev_log.filters import MAX_FILTER, MAX_NESTING, Filter
from mtev_log.record import Record


def record(**fields):
    return Record(
        1_700_000_000_250_000_000,
        "error/http",
        "served it",
        thread_id=4711,
        thread_name="e:default/0",
        file="/src/http/rest.py",
        line=88,
        fields=fields,
    )


def passes(text, /, **fields):
    return Filter(text).passes(record(**fields))


@pytest.mark.parametrize(
    "text",
    [
        "status = 200",
        "  status=200  ",
        "status >= 200",
        "status <= 200",
        "status < 201",
        "status > 199",
        "status != 404",
        "status = '200'",
        "status ~ '^2'",
        "status !~ '^5'",
        "'status' = 200",
        '"status" = 2e2',
        "status = 200.0",
        "status = +200",
        "exists(status)",
        "exists( 'status' )",
        "not(status = 404)",
        "and(status = 200, ip ~ '^192')",
        "and(status = 200)",
        "or(status = 1, status = 2, ip = '192.0.2.1')",
        "not(or(status = 1, and(status = 200, exists(nothing))))",
        "timestamp >= 1700000000.25",
        "timestamp < 1.8e9",
        "facility = 'error/http'",
        "threadid = 4711",
        "threadname ~ 'default'",
        "file ~ 'rest\\.py$'",
        "line = 88",
        "message = 'served it'",
        "latency = '0.25'",
        "latency < 1",
        "text = '9'",
        "text < 10",
        "none != 'x'",
        "none !~ 'x'",
        "exists(none)",
        "missing != 1",
        "missing !~ 'x'",
        "ok = 'true'",
        "ok = 1",
        "raw ~ 'caf'",
        "empty = 0",
        "ip < '2'",
        "'a.b' = 1",
        "a.b = 1",
    ],
)
def test_what_passes(text):
    fields = {
        "status": 200, "ip": "192.0.2.1", "latency": 0.25, "text": "9", "none": None, "ok": True, "raw": b"caf\xc3\xa9",
        "empty": "", "a.b": 1,
    }  # fmt: skip
    assert passes(text, **fields), text


@pytest.mark.parametrize(
    "text",
    [
        "missing = 1",
        "missing < 1",
        "missing = ''",
        "missing ~ ''",
        "exists(missing)",
        "exists(exception)",
        "level > 0",
        "none = ''",
        "text = 10",
        "word = 1",
        "word != 1",
        "and(status = 200, status = 201)",
        "or(status = 201)",
        "not(exists(status))",
        "status ~ '^5'",
    ],
)
def test_what_does_not_pass(text):
    assert not passes(text, status=200, none=None, text="9", word="x"), text


def test_text_is_ordered_by_code_point_and_not_by_length():
    assert not passes("a < '10'", a="9")
    assert passes("a < '9'", a="10")


def test_a_lines_own_fields_do_not_hide_what_every_line_has():
    assert passes("facility = 'error/http'", facility="forged")
    assert passes("message = 'served it'", message="forged")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"'a\'b'", "a'b"),
        (r'"a\"b"', 'a"b'),
        (r"'a\nb\t\\'", "a\nb\t\\"),
        (r"'\101\x42'", "AB"),
        (r"'\d'", r"\d"),
        ("'a\"b'", 'a"b'),
        ("''", ""),
        ("'caf\u00e9'", "caf\u00e9"),
    ],
)
def test_quoted_values_have_cs_escapes(text, value):
    assert passes(f"a = {text}", a=value)


def test_a_regular_expression_keeps_its_own_escapes():
    assert passes(r"a ~ '^\d+\.\d+$'", a="1.5")


@pytest.mark.parametrize(
    ("text", "at", "problem"),
    [
        ("", 0, "expected a field"),
        ("foo", 3, "expected one of ="),
        ("and(", 4, "expected a field"),
        ("and(a = 1", 9, "expected ')'"),
        ("and(a = 1,)", 10, "expected a field"),
        ("a = ", 4, "expected a value"),
        ("a = b", 4, "expected a value"),
        ("a == 1", 3, "expected a value"),
        ("a = 'open", 4, "the quote is not closed"),
        ("a ~ 5", 4, "needs a regular expression in quotes"),
        ("a ~ '(x'", 5, "regular expression: missing )"),
        ("a ~ 'x('", 6, "regular expression: missing )"),
        ("a = 1 x", 6, "the filter ends before this"),
        ("a = 1)", 5, "the filter ends before this"),
        ("a = 1, b = 2", 5, "the filter ends before this"),
        ("xor(a = 1)", 0, "there is no 'xor('"),
        ("not(a = 1, b = 2)", 9, "expected ')'"),
        ("exists(1)", 7, "expected the name of a field"),
        ("a = 1e", 4, "this is no part of a filter"),
        ("a = 1.", 4, "this is no part of a filter"),
        ("a & b", 2, "this is no part of a filter"),
        ("1 = a", 0, "expected a field"),
        (f"{'not(' * (MAX_NESTING + 2)}a = 1", 4 * (MAX_NESTING + 1), "more than 50 deep"),
        (f"a = '{'x' * MAX_FILTER}'", MAX_FILTER, "at most 4096 characters"),
    ],
)
def test_what_is_malformed_is_refused_with_a_caret_under_the_fault(text, at, problem):
    with pytest.raises(FilterError, match=re.escape(problem)) as caught:
        Filter(text)
    assert caught.value.at == at
    _, shown, caret = str(caught.value).split("\n")
    column = caret.index("^")
    assert shown[column : column + 1] == text[at : at + 1].replace("\n", " ")


def test_filters_are_equal_when_their_texts_are():
    assert Filter("a = 1") == Filter("a = 1")
    assert Filter("a = 1") != Filter("a = 2")


# A naive evaluator: walks a tree, knows nothing of closures.

COMPARE = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
names = st.sampled_from(["a", "b", "c", "facility", "line", "message", "exception"])
numbers = st.integers(-50, 150) | st.sampled_from([0.5, 88.0, -1.25])
words = st.text("ab19. '\\\"", max_size=4)
patterns = st.sampled_from(["^a", "b$", "1|9", ".", "^$", "a.b"])
predicates = st.one_of(
    st.tuples(st.just("cmp"), names, st.sampled_from(list(COMPARE)), numbers | words),
    st.tuples(st.just("match"), names, st.booleans(), patterns),
    st.tuples(st.just("exists"), names),
)
trees = st.recursive(
    predicates,
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=4)),
    ),
    max_leaves=12,
)
values = st.none() | numbers | words | st.booleans()


def quoted(text):
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def written(tree):
    kind = tree[0]
    if kind == "cmp":
        return f"{tree[1]} {tree[2]} {quoted(tree[3]) if isinstance(tree[3], str) else tree[3]}"
    if kind == "match":
        return f"{tree[1]}{'~' if tree[2] else '!~'}{quoted(tree[3])}"
    if kind == "exists":
        return f"exists({tree[1]})"
    if kind == "not":
        return f"not({written(tree[1])})"
    return f"{kind}({' , '.join(map(written, tree[1]))})"


def text_of(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def number_of(value):
    if isinstance(value, str):
        if value == "":
            return 0
        if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)", value):
            return None
        return float(value)
    return float(value)


def evaluate(tree, fields):
    kind = tree[0]
    if kind == "not":
        return not evaluate(tree[1], fields)
    if kind in ("and", "or"):
        results = [evaluate(each, fields) for each in tree[1]]
        return all(results) if kind == "and" else any(results)
    if kind == "exists":
        return tree[1] in fields
    value = fields.get(tree[1])
    if kind == "match":
        return (value is not None and re.search(tree[3], text_of(value)) is not None) is tree[2]
    _, _, relation, right = tree
    if value is None:
        return relation == "!="
    if isinstance(right, str):
        return COMPARE[relation](text_of(value), right)
    number = number_of(value)
    return number is not None and COMPARE[relation](number, float(right))


@settings(deadline=None, max_examples=500)
@given(trees, st.dictionaries(st.sampled_from(["a", "b", "c", "facility", "line"]), values))
def test_filters_mean_what_a_naive_evaluator_says(tree, fields):
    line = record(**fields)
    known = {**fields, "facility": line.facility, "line": line.line, "message": line.message}
    assert Filter(written(tree)).passes(line) == evaluate(tree, known)


@settings(deadline=None, max_examples=500)
@given(st.text("andorexists()!=~<>'\"\\ ,.0189+-e_ab\n", max_size=40) | st.text(max_size=30))
def test_any_text_is_a_filter_or_is_refused(text):
    try:
        found = Filter(text)
    except FilterError as error:
        assert 0 <= error.at <= len(text)
    else:
        assert found.passes(record(a="1", b=2.5, ab=b"x")) in (True, False)
