"""What to do when the configuration of the listeners changes."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from mtev_listener._address import TcpAddress, UnixAddress
from mtev_listener._changes import changes
from mtev_listener._settings import ListenerSettings

addresses = st.sampled_from(
    [TcpAddress("127.0.0.1", 0), TcpAddress("127.0.0.1", 80), UnixAddress("/x"), UnixAddress("/y")]
)
listeners = st.lists(
    st.builds(
        ListenerSettings,
        st.sampled_from(["echo", "http"]),
        addresses,
        where=st.sampled_from(["a:1", "a:2"]),
        backlog=st.integers(1, 3),
        accept_thread=st.booleans(),
    ),
    max_size=5,
)


@given(listeners, listeners)
def test_everything_is_kept_closed_or_opened_and_nothing_twice(old, new):
    todo = changes(old, new)
    assert sorted([*todo.keep, *todo.close]) == list(range(len(old)))
    assert len(todo.keep) + len(todo.open) == len(new)
    wanted = list(new)
    for settings in (*todo.keep.values(), *todo.open):
        wanted.remove(settings)
    assert wanted == []
    for number, settings in todo.keep.items():
        was = old[number]
        assert (was.type, was.address, was.accept_thread) == (settings.type, settings.address, settings.accept_thread)


@given(listeners)
def test_what_has_not_changed_stays(settings):
    todo = changes(settings, settings)
    assert (todo.close, todo.open) == ([], [])
    assert [todo.keep[number] for number in sorted(todo.keep)] == settings


def test_limits_change_in_place_and_addresses_do_not():
    one = ListenerSettings("echo", TcpAddress("127.0.0.1", 80), "a:1")
    limited = replace(one, max_connections=5, backlog=9, idle_timeout_s=3.0, where="a:9")
    assert changes([one], [limited]).keep == {0: limited}
    moved = replace(one, address=TcpAddress("127.0.0.1", 81))
    todo = changes([one], [moved])
    assert (todo.keep, todo.close, todo.open) == ({}, [0], [moved])
