"""Trace context: W3C's and B3's, there and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_http import Headers, Request
from mtev_http._trace import RequestIds, TraceContext, valid_request_id
from mtev_http.testing import LoopbackLink

TRACE, SPAN, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"


def extract(**fields: str) -> TraceContext | None:
    return TraceContext.extract(Headers([(name.replace("_", "-"), value) for name, value in fields.items()]))


def test_w3c():
    context = extract(traceparent=f"00-{TRACE}-{SPAN}-01", tracestate="vendor=1")
    assert context == TraceContext(TRACE, SPAN, True, state="vendor=1")
    assert extract(traceparent=f"00-{TRACE}-{SPAN}-00").sampled is False
    assert extract(traceparent=f"cc-{TRACE}-{SPAN}-01-what-comes-later").trace_id == TRACE


@pytest.mark.parametrize(
    "parent",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
    ],
)
def test_a_malformed_parent_is_as_if_it_were_not_there(parent):
    assert extract(traceparent=parent) is None
    b3 = extract(traceparent=parent, b3=f"{TRACE}-{SPAN}-1")
    assert b3 == TraceContext(TRACE, SPAN, True)


def test_b3_in_one_header_and_in_several():
    assert extract(b3=f"{TRACE}-{SPAN}-d-{ABOVE}") == TraceContext(TRACE, SPAN, True, ABOVE, debug=True)
    assert extract(b3=f"{TRACE}-{SPAN}").sampled is None
    assert extract(b3="0") is None
    several = extract(X_B3_TraceId=TRACE[16:], X_B3_SpanId=SPAN, X_B3_ParentSpanId=ABOVE, X_B3_Sampled="1")
    assert several == TraceContext("0" * 16 + TRACE[16:], SPAN, True, ABOVE)
    assert extract(X_B3_TraceId=TRACE, X_B3_SpanId="short") is None
    assert extract(X_B3_TraceId=TRACE, X_B3_SpanId=SPAN, X_B3_Sampled="0").sampled is False
    assert extract(X_B3_TraceId=TRACE, X_B3_SpanId=SPAN).sampled is None


hexes = st.text(alphabet="0123456789abcdef", min_size=16, max_size=16).filter(lambda text: text.strip("0"))


@given(hexes, hexes, hexes, st.sampled_from([True, False]), st.booleans())
def test_what_is_carried_is_understood_by_the_next_one(high, low, span, sampled, debug):
    context = TraceContext(high + low, span, sampled, debug=debug and sampled)
    child = context.child()
    assert (child.trace_id, child.parent_id, child.sampled) == (context.trace_id, span, sampled)
    assert child.span_id != span
    fields = dict(child.headers())
    assert TraceContext.extract(Headers(list(fields.items()))).span_id == child.span_id
    del fields["traceparent"]
    assert TraceContext.extract(Headers(list(fields.items()))) == child


@given(st.dictionaries(st.sampled_from(["traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid"]), st.text()))
def test_no_text_does_harm(fields):
    TraceContext.extract(Headers(list(fields.items())))


def test_request_ids_are_the_clients_where_they_are_fit():
    def request(*values: bytes) -> Request:
        return Request("GET", "/", "1.1", [(b"X-Request-ID", value) for value in values], LoopbackLink())

    assert request(b"abc-1.2:3").id == "abc-1.2:3"
    made = request()
    assert valid_request_id(made.id)
    assert made.id == made.id != request().id
    for wrong in (b"", b"a b", b"a\r\nb", b"x" * 129, b"<script>", b"\xff"):
        assert request(wrong).id.encode("latin-1") != wrong
    ids = RequestIds()
    assert len({ids.make() for _ in range(1000)}) == 1000
