"""The telnet protocol, byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtev_telnet.lines import Control, Line
from mtev_telnet.telnet import (
    MAX_REFUSALS,
    MAX_SUBNEGOTIATION,
    Code,
    Data,
    Echo,
    Key,
    Option,
    Reply,
    TelnetMachine,
    WindowSize,
    cook,
)
from mtev_telnet.terminal import Send, Terminal

IAC, SB, SE = bytes((Code.IAC,)), bytes((Code.SB,)), bytes((Code.SE,))
LINEMODE, TTYPE = 34, 24

WIRE = st.lists(
    st.sampled_from([bytes((code,)) for code in Code])
    | st.sampled_from([bytes((Code.IAC, code)) for code in Code])
    | st.sampled_from([bytes((Code.IAC, verb, option)) for verb in range(251, 255) for option in (0, 1, 3, 6, 31, 34)])
    | st.sampled_from([b"show", b"\r", b"\n", b"\0", b"\x7f", b"\x03"])
    | st.binary(max_size=4)
).map(b"".join)


def say(verb, option):
    return bytes((Code.IAC, verb, option))


def feed(machine, data):
    events = []
    for event in machine.feed(data):
        if events and isinstance(event, Data | Reply | Send) and type(events[-1]) is type(event):
            event = type(event)(events.pop().data + event.data)
        events.append(event)
    return events


def test_data_passes_and_iac_is_doubled():
    assert feed(TelnetMachine(), b"a\xff\xffb") == [Data(b"a\xffb")]


@pytest.mark.parametrize(
    ("code", "key"),
    [
        (Code.IP, Key.INTERRUPT),
        (Code.BREAK, Key.INTERRUPT),
        (Code.ABORT, Key.INTERRUPT),
        (Code.EOF, Key.END_OF_FILE),
        (Code.EC, Key.ERASE_CHARACTER),
        (Code.EL, Key.ERASE_LINE),
    ],
)
def test_keys_with_a_code_of_their_own(code, key):
    assert feed(TelnetMachine(), bytes((Code.IAC, code))) == [key]


def test_are_you_there():
    assert feed(TelnetMachine(), bytes((Code.IAC, Code.AYT))) == [Reply(b"\r\n[Yes]\r\n")]


@pytest.mark.parametrize("code", [Code.NOP, Code.GA, Code.DM, Code.AO, Code.EOR, Code.SUSP, Code.SE, 0, 7])
def test_codes_that_mean_nothing_here(code):
    assert feed(TelnetMachine(), bytes((Code.IAC, code)) + b"x") == [Data(b"x")]


@pytest.mark.parametrize(
    ("verb", "option", "answer"),
    [
        (Code.DO, LINEMODE, Code.WONT),
        (Code.WILL, TTYPE, Code.DONT),
        (Code.WILL, Option.ECHO, Code.DONT),
        (Code.DO, Option.NAWS, Code.WONT),
        (Code.WILL, Option.SGA, Code.DO),
        (Code.WILL, Option.NAWS, Code.DO),
    ],
)
def test_what_is_agreed_to_and_what_is_refused(verb, option, answer):
    assert feed(TelnetMachine(), say(verb, option)) == [Reply(say(answer, option))]


@pytest.mark.parametrize("verb", [Code.DONT, Code.WONT])
@pytest.mark.parametrize("option", [Option.ECHO, Option.SGA, Option.NAWS, LINEMODE])
def test_what_is_off_already_is_not_answered(verb, option):
    assert feed(TelnetMachine(), say(verb, option)) == []


def test_a_client_that_types_character_by_character_is_offered_echo():
    machine = TelnetMachine()
    assert feed(machine, say(Code.DO, Option.SGA)) == [Reply(say(Code.WILL, Option.SGA) + say(Code.WILL, Option.ECHO))]
    assert feed(machine, say(Code.DO, Option.ECHO)) == [Echo(True)]
    assert feed(machine, say(Code.DO, Option.SGA) + say(Code.DO, Option.ECHO)) == []
    assert feed(machine, say(Code.DONT, Option.ECHO)) == [Reply(say(Code.WONT, Option.ECHO)), Echo(False)]


def test_window_size():
    machine = TelnetMachine()
    assert machine.open() == say(Code.DO, Option.NAWS)
    size = IAC + SB + bytes((Option.NAWS, 0, 255, 255, 0, 50)) + IAC + SE
    assert feed(machine, size) == [], "before it was agreed"
    assert feed(machine, say(Code.WILL, Option.NAWS)) == [], "the answer to our own request"
    assert feed(machine, size) == [WindowSize(255, 50)]
    assert feed(machine, say(Code.WONT, Option.NAWS)) == [Reply(say(Code.DONT, Option.NAWS))]


def test_timing_mark_is_answered_every_time():
    mark = say(Code.DO, Option.TIMING_MARK)
    assert feed(TelnetMachine(), mark * 20) == [Reply(say(Code.WILL, Option.TIMING_MARK) * 20)]


def test_sub_negotiations_are_bounded_and_skipped():
    machine = TelnetMachine()
    assert feed(machine, IAC + SB + bytes((TTYPE,)) + b"x" * 100_000 + IAC + IAC) == []
    assert len(machine._sub) <= MAX_SUBNEGOTIATION + 1
    assert feed(machine, IAC + SE + b"on") == [Data(b"on")]


def test_a_command_inside_a_sub_negotiation_ends_it():
    assert feed(TelnetMachine(), IAC + SB + b"\x18" + IAC + bytes((Code.IP,)) + b"x") == [Key.INTERRUPT, Data(b"x")]


def test_a_peer_that_insists_is_ignored_in_the_end():
    machine = TelnetMachine()
    answers = [feed(machine, say(Code.DO, LINEMODE)) for _ in range(100)]
    assert sum(map(len, answers)) == MAX_REFUSALS


def test_two_machines_that_talk_to_each_other_fall_silent():
    one, other = TelnetMachine(), TelnetMachine()
    pending = one.open() + say(Code.DO, Option.SGA) + say(Code.WILL, LINEMODE)
    for _ in range(10):
        events = other.feed(pending)
        pending = b"".join(event.data for event in events if isinstance(event, Reply))
        one, other = other, one
        if not pending:
            return
    pytest.fail("they still talk")


@given(WIRE, st.data())
def test_any_cut_gives_the_same(wire, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    whole, cut = Terminal(telnet=True), Terminal(telnet=True)
    pieces = [wire[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]

    def flat(events):
        found = []
        for event in events:
            if isinstance(event, Send) and found and isinstance(found[-1], Send):
                event = Send(found.pop().data + event.data)
            found.append(event)
        return found

    assert flat(whole.feed(wire)) == flat([event for piece in pieces for event in cut.feed(piece)])


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_input_raises_or_makes_the_machine_grow(pieces):
    machine = TelnetMachine()
    for piece in pieces:
        machine.feed(piece)
    assert len(machine._sub) <= MAX_SUBNEGOTIATION + 1
    assert len(machine._refused) <= 2 * 256
    assert len(machine._ours | machine._theirs | machine._asked | machine._offered) <= 3


@given(WIRE)
def test_answers_are_bounded_by_what_was_asked(wire):
    answered = sum(len(event.data) for event in TelnetMachine().feed(wire) if isinstance(event, Reply))
    assert answered <= 6 * len(wire)


@given(st.text())
def test_cooked_text_is_the_text_to_a_telnet_client(text):
    received = b"".join(event.data for event in TelnetMachine().feed(cook(text)) if isinstance(event, Data))
    assert b"\n" not in received.replace(b"\r\n", b"")
    shown = received.replace(b"\r\n", b"\n").replace(b"\r\0", b"\r")
    assert shown == text.replace("\r\n", "\n").encode("utf-8", "replace")


def test_a_telnet_terminal_puts_keys_into_lines():
    terminal = Terminal(telnet=True)
    wire = b"ab" + IAC + bytes((Code.EC,)) + b"c\r\n" + b"drop" + IAC + bytes((Code.IP,)) + IAC + bytes((Code.EOF,))
    assert terminal.feed(wire) == [Line("ac"), Control.INTERRUPT, Control.END_OF_FILE]
    assert terminal.feed(b"drop" + IAC + bytes((Code.EL,)) + b"x\n") == [Line("x")]


def test_a_telnet_terminal_echoes_when_asked():
    terminal = Terminal(telnet=True)
    terminal.feed(say(Code.DO, Option.ECHO))
    assert terminal.feed(b"a\xff\xff\r\0") == [Send(b"a"), Send(b"\xff\xff"), Send(b"\r\n"), Line("a\ufffd")]


def test_a_raw_terminal_takes_bytes_as_they_are():
    terminal = Terminal(telnet=False)
    assert terminal.open() == b""
    assert terminal.feed(b"\xff\xf4\n") == [Line("\ufffd\ufffd")]
    assert terminal.encode("a\nb\n") == b"a\nb\n"
