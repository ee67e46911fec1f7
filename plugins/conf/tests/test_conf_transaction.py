"""Changing a document: all or nothing, one generation, and told with what it was before."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from mtev_conf import ChangeRefused, Configuration
from mtev_kernel.errors import ConfigurationError

TEXT = """<app port="1">
  <!-- kept -->
  <listeners address="127.0.0.1">
    <listener  type='a'   port = "80"/>
    <listener type="b"><config><timeout>5</timeout></config></listener>
  </listeners>
</app>
"""


@pytest.fixture
def configuration():
    return Configuration.parse(TEXT, "app.conf", {})


def listener(configuration, number=0):
    return configuration.sections("listeners/listener")[number]


def test_changes_come_into_force_together_with_the_end_of_the_block(configuration):
    first = listener(configuration)
    with configuration.transaction("me", "why not") as change:
        change.set(first, "port", "8080")
        change.unset(first, "type")
        assert first.string("port") == "80"
    assert first.integer("port") == 8080
    assert first.optional("type") is None
    newest = configuration.history()[-1]
    assert (newest.number, newest.kind, newest.who, newest.why) == (2, "change", "me", "why not")
    assert [(each.kind, each.path, each.old, each.new) for each in newest.changes] == [
        ("set", "/app/listeners[1]/listener[1]/@port", "80", "8080"),
        ("unset", "/app/listeners[1]/listener[1]/@type", "a", None),
    ]
    assert configuration.generation == 2
    assert change.generation is newest


def test_one_value_is_one_line(configuration):
    with configuration.transaction() as change:
        change.set(listener(configuration), "port", "8080")
    before, after = TEXT.splitlines(), configuration.text().splitlines()
    assert [(old, new) for old, new in zip(before, after, strict=True) if old != new] == [
        ("""    <listener  type='a'   port = "80"/>""", """    <listener  type='a'   port = "8080"/>""")
    ]


def test_an_exception_in_the_block_changes_nothing(configuration):
    change = configuration.transaction()
    change.set(listener(configuration), "port", "8080")
    with pytest.raises(RuntimeError), change:
        raise RuntimeError
    assert (configuration.generation, configuration.text()) == (1, TEXT)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda change, root, each: change.set(each, "a b", "x"), "no name of an attribute"),
        (lambda change, root, each: change.set(each, "m:x", "x"), "m"),
        (lambda change, root, each: change.set(each, "x", "\0"), "XML"),
        (lambda change, root, each: change.text(root, "x"), "child elements"),
        (lambda change, root, each: change.remove(root), "root"),
        (lambda change, root, each: change.move(root, each), "root"),
        (lambda change, root, each: change.add(each, "x", index=7), "position 7"),
        (lambda change, root, each: change.add(each, "a b"), "cannot be added"),
        (lambda change, root, each: change.add(each, "m:x"), "prefix 'm' is not declared"),
        (lambda change, root, each: change.add_xml(each, "<x>"), "not well-formed"),
        (lambda change, root, each: change.add_xml(each, "<x/><y/>"), "exactly one element"),
        (lambda change, root, each: change.add_xml(each, "<!DOCTYPE x><x/>"), "not well-formed"),
        (lambda change, root, each: change.add(each, "include", {"file": "x"}), "edit the file and reload"),
        (lambda change, root, each: change.add_xml(each, "<x><y backingstore='d'/></x>"), "edit the file and reload"),
        (lambda change, root, each: change.set(each, "backingstore", "d"), "edit the file and reload"),
    ],
)
def test_what_is_impossible_undoes_what_came_before_it(configuration, act, message):
    heard = []
    configuration.subscribe(heard.append)
    with pytest.raises(ConfigurationError) as caught, configuration.transaction() as change:  # noqa: PT012  # the end of the block raises
        change.set(configuration.root, "port", "2")
        change.remove(listener(configuration, 1))
        act(change, configuration.root, listener(configuration))
    assert message in str(caught.value)
    assert (configuration.generation, configuration.text(), heard) == (1, TEXT, [])
    assert len(configuration.sections("listeners/listener")) == 2


def test_a_new_element_is_found_changed_and_told(configuration):
    with configuration.transaction() as change:
        new = change.add(configuration.section("listeners"), "listener", {"type": "c"}, index=1)
        change.set(new, "port", "90")
        change.text(change.add(new, "note"), "hello <&>")
    assert [each.string("type") for each in configuration.sections("listeners/listener")] == ["a", "c", "b"]
    assert configuration.section("//note").text == "hello <&>"
    assert new.path == "/app/listeners[1]/listener[2]"
    assert new.string("address") == "127.0.0.1"
    assert configuration.text().splitlines()[4:10] == [
        '    <listener type="c" port="90">',
        "      <note>hello &lt;&amp;&gt;</note>",
        "    </listener>",
        '    <listener type="b"><config><timeout>5</timeout></config></listener>',
        "  </listeners>",
        "</app>",
    ]


def test_moving_takes_the_text_along(configuration):
    with configuration.transaction() as change:
        change.move(listener(configuration), configuration.section("listeners"))
    assert [each.string("type") for each in configuration.sections("listeners/listener")] == ["b", "a"]
    assert """    <listener  type='a'   port = "80"/>\n  </listeners>""" in configuration.text()


def test_a_transaction_that_changes_nothing_is_no_generation(configuration):
    with configuration.transaction() as change:
        change.set(listener(configuration), "port", "80")
        change.unset(listener(configuration), "nothing")
    assert configuration.generation == 1


def test_a_value_that_nobody_could_read_back_is_refused(configuration):
    with pytest.raises(ConfigurationError, match="4194305 characters"), configuration.transaction() as change:
        change.set(configuration.root, "port", "x" * 4_194_305)
    assert configuration.text() == TEXT


def test_refusals_are_told_together_and_undo_everything(configuration):
    first = configuration.judge(lambda proposal: proposal.refuse("not on a Friday"))

    def second(proposal):
        assert proposal.configuration.sections("listeners/listener")[0].string("port") == "8080"
        raise listener(proposal.configuration).error("nobody listens there")

    configuration.judge(second)
    with pytest.raises(ChangeRefused) as caught, configuration.transaction() as change:
        change.set(listener(configuration), "port", "8080")
    assert "not on a Friday" in str(caught.value)
    assert "app.conf:4: <listener>: nobody listens there" in str(caught.value)
    assert (configuration.generation, configuration.text()) == (1, TEXT)
    assert listener(configuration).string("port") == "80"
    first()


@pytest.mark.parametrize("refused", [True, False])
def test_what_is_only_proposed_is_seen_by_its_judges_alone(configuration, refused):
    port = listener(configuration)
    assert port.string("port") == "80"
    seen, started = [], threading.Event()

    def read():
        started.set()
        seen.append(port.string("port"))
        seen.append(port.attributes["port"])
        seen.append(port.text)

    def judge(proposal):
        assert port.string("port") == "8080"  # read by a judge, and so known to the tree
        thread.start()
        assert started.wait(30)
        thread.join(0.05)
        if refused:
            proposal.refuse("no")

    thread = threading.Thread(target=read)
    configuration.judge(judge)
    try:
        with configuration.transaction() as change:
            change.set(port, "port", "8080")
            change.text(port, "new")
    except ChangeRefused:
        assert refused
    thread.join()
    assert seen == (["80", "80", ""] if refused else ["8080", "8080", "new"])


def test_listeners_hear_in_order_and_fail_alone(configuration, caplog):
    heard = []

    def fails(event):
        raise RuntimeError("mine")

    configuration.subscribe(fails)
    end = configuration.subscribe(lambda event: heard.append((event.generation.number, len(event.changes))))
    for port in ("1", "2"):
        with configuration.transaction() as change:
            change.set(listener(configuration), "port", port)
    end()
    with configuration.transaction() as change:
        change.set(listener(configuration), "port", "3")
    assert heard == [(2, 1), (3, 1)]
    assert "a listener failed" in caplog.text


def test_a_listener_may_read_but_not_change(configuration):
    caught = []

    def meddles(event):
        assert listener(event.configuration).string("port") == "8080"
        try:
            with event.configuration.transaction() as change:
                change.set(listener(event.configuration), "port", "1")
        except ConfigurationError as error:
            caught.append(str(error))

    configuration.subscribe(meddles)
    with configuration.transaction() as change:
        change.set(listener(configuration), "port", "8080")
    assert len(caught) == 1
    assert "being told" in caught[0]
    assert listener(configuration).string("port") == "8080"


def test_sections_of_a_document_no_longer_in_force_are_refused(configuration):
    old = listener(configuration)
    configuration.adopt(Configuration.parse(TEXT.replace("80", "81"), "app.conf", {}))
    with pytest.raises(ConfigurationError, match="no longer in force"), configuration.transaction() as change:
        change.set(old, "port", "1")
    with pytest.raises(ConfigurationError, match="reloaded meanwhile"), configuration.transaction() as change:  # noqa: PT012  # the end of the block raises
        change.set(listener(configuration), "port", "1")
        configuration.adopt(Configuration.parse(TEXT, "app.conf", {}))


def test_nobody_reads_a_half(configuration):
    stop = threading.Event()
    halves = []

    def read():
        while not stop.is_set():
            ports = configuration.root.value("concat(//listener[1]/@port, '/', //listener[2]/@port)")
            left, _, right = ports.partition("/")
            if left != right and ports != "80/":
                halves.append(ports)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for each in readers:
        each.start()
    try:
        for number in range(200):
            with configuration.transaction() as change:
                change.set(listener(configuration), "port", str(number))
                change.set(listener(configuration, 1), "port", str(number))
    finally:
        stop.set()
        for each in readers:
            each.join()
    assert halves == []


def test_rollback_goes_back_and_is_a_generation_of_its_own(configuration):
    with configuration.transaction() as change:
        change.set(listener(configuration), "port", "8080")
        change.remove(listener(configuration))
    with configuration.transaction() as change:
        change.add(configuration.root, "more")
    assert len(configuration.unsaved()) == 3
    generation = configuration.rollback(2, "me")
    assert (generation.number, generation.kind, generation.why) == (4, "rollback", "back to generation 2")
    assert not configuration.sections("more")
    configuration.rollback(1)
    usual = TEXT.replace("""<listener  type='a'   port = "80"/>""", """<listener type="a" port="80"/>""")
    assert configuration.text() == usual
    configuration.rollback(3)
    assert configuration.sections("more")
    with pytest.raises(LookupError, match="generation 99 is not kept"):
        configuration.rollback(99)


def test_history_is_bounded(configuration):
    configuration.keep_history(3)
    for number in range(6):
        with configuration.transaction() as change:
            change.set(configuration.root, "port", f"n{number}")
    assert [each.number for each in configuration.history()] == [5, 6, 7]
    with pytest.raises(LookupError, match="there are 5 to 7"):
        configuration.rollback(4)
    configuration.rollback(5)
    assert configuration.root.string("port") == "n3"


def test_a_reload_is_told_as_what_is_different(configuration):
    heard = []
    configuration.subscribe(heard.append)
    other = TEXT.replace('"80"', '"81"').replace("<!-- kept -->", "<new/>")
    configuration.adopt(Configuration.parse(other, "app.conf", {}), "me")
    (event,) = heard
    assert event.generation.kind == "reload"
    assert sorted((each.kind, each.path) for each in event.changes) == [
        ("add", "/app/new[1]"),
        ("set", "/app/listeners[1]/listener[1]/@port"),
    ]
    assert event.concerns("listeners")
    assert not event.concerns("logs")
    configuration.rollback(1)
    assert listener(configuration).string("port") == "80"
    assert not configuration.sections("new")


def test_what_everybody_inherits_concerns_everybody(configuration):
    heard = []
    configuration.subscribe(heard.append)
    with configuration.transaction() as change:
        change.set(configuration.root, "port", "2")
    with configuration.transaction() as change:
        change.add_xml(configuration.root, "<box id='x'><config/></box>")
    with configuration.transaction() as change:
        change.add(configuration.section("box/config"), "key", text="v")
    assert [event.concerns("anything") for event in heard] == [True, True, True]


# Any sequence of transactions is the same as the same edits of a plain tree.

NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from(["", "1", "x y", "<&>\"'", "é\n\t"])
KINDS = st.sampled_from(["set", "unset", "text", "add", "remove", "move"])
STEPS = st.lists(st.tuples(KINDS, st.integers(0, 30), st.integers(0, 30), NAMES, VALUES), max_size=12)


def plain(element):
    """What an element means: name, attributes, texts without the blanks between elements, children."""
    text = (element.text or "") + "".join(each.tail or "" for each in element)
    children = [plain(each) for each in element.iterchildren(etree.Element)]
    return (element.tag, dict(element.attrib), text if text.strip() else "", children)


@settings(max_examples=150)
@given(transactions=st.lists(STEPS, max_size=4), refused=st.sets(st.integers(0, 3)))
def test_transactions_are_the_same_edits_on_a_plain_tree(transactions, refused):
    configuration = Configuration.parse(TEXT, "app.conf", {})
    model = etree.fromstring(TEXT)
    judge = []
    configuration.judge(lambda proposal: judge and proposal.refuse("no"))
    for number, steps in enumerate(transactions):
        judge[:] = [True] if number in refused else []
        before, kept = configuration.text(), etree.fromstring(etree.tostring(model))
        try:
            with configuration.transaction() as change:
                for kind, first, second, name, value in steps:
                    step(change, configuration, model, kind, first, second, name, value)
                    if kind in ("add", "remove", "move"):
                        break  # what follows would be chosen by other numbers
        except ConfigurationError:
            model = kept
            assert configuration.text() == before
        assert plain(configuration._tree.root) == plain(model)
        assert plain(etree.fromstring(configuration.text())) == plain(model)
    judge.clear()
    configuration.rollback(1)
    assert plain(configuration._tree.root) == plain(etree.fromstring(TEXT))


def step(change, configuration, model, kind, first, second, name, value):
    """Do one thing to the tree of the transaction, by way of what it will be, and to the model."""
    from mtev_conf._section import Section

    ours = list(configuration._tree.root.iter(etree.Element))
    theirs = list(model.iter(etree.Element))
    number, other = first % len(ours), second % len(ours)
    section, element = Section(configuration._tree, ours[number]), theirs[number]
    if kind == "set":
        change.set(section, name, value)
        element.set(name, value)
    elif kind == "unset":
        change.unset(section, name)
        element.attrib.pop(name, None)
    elif kind == "text" and not len(element):
        change.text(section, value)
        element.text = value
    elif kind == "add" and not (element.text or "").strip():
        change.add(section, name, {"n": value})
        etree.SubElement(element, name, n=value)
    elif kind == "remove" and number:
        change.remove(section)
        parent = element.getparent()
        element.tail = None
        parent.remove(element)
    elif kind == "move" and number and element not in [*theirs[other].iterancestors(), theirs[other]]:
        target = theirs[other]
        if (target.text or "").strip():
            return
        change.move(section, Section(configuration._tree, ours[other]))
        element.tail = None
        target.append(element)
