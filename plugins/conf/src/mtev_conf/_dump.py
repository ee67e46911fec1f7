"""The effective document as text for people, and where each piece of it comes from: what `--dump-config` prints.

    <!-- /etc/app/app.conf: what is in force, and where it comes from -->
    <app>                                       <!-- app.conf:1 -->
      <listeners>                               <!-- app.conf:2 -->
        <listener port="8080"/>                 <!-- app.conf:3; port from ENV PORT -->
      </listeners>
      <include file="inc/*.conf">               <!-- app.conf:5 -->
        <!-- inc/a.conf: its root hands down timeout="5" -->
        <log name="error"/>                     <!-- inc/a.conf:2 -->
      </include>
    </app>

1. It is a well-formed document that means what the original means here: values are substituted, and texts are kept to
   the character. What only serves the layout is laid out anew; comments and processing instructions are left out.
2. Behind each element stands its place, with paths relative to the folder of the main file, and the origin of each
   value that was put in. Among text there is room only for what differs from what stands behind the line.
3. Secrets are hidden (see `_masking`), wherever they come from; the names under which they are found are shown.
4. A value that cannot be read is shown as it is written, with the reason. A dump never fails.
5. An element whose own `require_env` does not hold is marked before it; what the files do not hold yet is marked, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from ._editing.fragments import BLANKS, own_text
from ._masking import LABELS, MASK, hide_secrets, secret_content, shown_attribute, shown_text, sounds_secret
from ._names import element_name, is_element, own_attributes
from ._origins import Substituted, origins, substituted
from ._source import Source
from ._tree import Store, Tree
from ._writing.markup import escaped_content, escaped_value

__all__ = ["dump"]

_INDENT = "  "
_WIDTH = 100
_COLUMN = 72
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def dump(tree: Tree) -> str:
    """The effective document as text, without its secrets. Thread-safe; the tree is locked meanwhile.

    Blocks on the file system where values come from files.
    """
    with tree.lock:
        return _Dump(tree).text()


@dataclass(slots=True)
class _Line:
    """A line of the document, or several where a text or a tag takes them, and what stands behind the last."""

    text: str
    remark: str = ""

    @property
    def width(self) -> int:
        return len(self.text) - self.text.rfind("\n") - 1


@dataclass(slots=True)
class _Open:
    """An element whose start tag is written, and not yet all of what is in it.

    Args:
        element: the element.
        depth: how far it is indented.
        inline: whether what is in it has to stand exactly as it is, because there is text among it.
        secret: whether its content is.
        inside_secret: whether that also goes for all that is in it.
        fresh: the file or store that it was made for while the service ran, or None.
        scope: the namespaces that hold in it, by prefix.
        remark: what stands behind its line.
        nodes: what of it is still to be written.
        sources: included files that are still to be mentioned.
    """

    element: etree._Element
    depth: int
    inline: bool
    secret: bool
    inside_secret: bool
    fresh: Source | Store | None
    scope: Mapping[str | None, str]
    remark: str
    nodes: Iterator[etree._Element]
    sources: list[Source] = field(default_factory=list)


class _Dump:
    """One dump of one tree, whose lock is held."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._folder = tree.path[: tree.path.rfind("/") + 1] if tree.path.startswith("/") else ""
        self._lines: list[_Line] = []
        changed = any(each.changed for each in tree.sources)
        self._edited = changed or any(each.touched for each in tree.stores.values())

    def text(self) -> str:
        """The whole of it."""
        self._lines.append(_Line(_comment(f"{self._tree.path}: what is in force, and where it comes from")))
        # Not recursive: files that include each other make deeper documents than Python's stack allows.
        unfinished: list[_Open] = []
        self._begin(self._tree.root, None, unfinished)
        while unfinished:
            current = unfinished[-1]
            node = next(current.nodes, None)
            if node is None:
                self._end(unfinished.pop(), unfinished[-1] if unfinished else None)
            elif is_element(node):
                self._announce(current, self._tree.home.get(node))
                self._begin(node, current, unfinished)
            else:
                self._follow(node, current)
        fitting = [line.width for line in self._lines if line.remark and line.width <= _COLUMN]
        column = max(fitting, default=0) + 1
        written = []
        for line in self._lines:
            gap = " " * max(column - line.width, 1) if line.remark else ""
            written.append(f"{line.text}{gap}{line.remark}\n")
        return "".join(written)

    # Elements

    def _begin(self, element: etree._Element, around: _Open | None, unfinished: list[_Open]) -> None:
        """Write an element as far as possible before what is in it: all of it, where that is no elements."""
        tree, name = self._tree, element_name(element)
        inline, depth = (around.inline, around.depth + 1) if around is not None else (False, 0)
        self._mark_off(element, depth, around)
        values = {key: substituted(tree, element, raw, key) for key, raw in own_attributes(element).items()}
        labels = [text for key in LABELS if key in values for text in (values[key].raw, values[key].value)]
        inside_secret = (around is not None and around.inside_secret) or sounds_secret(name)
        secret = inside_secret or secret_content([], labels)
        fresh = (around.fresh if around is not None else None) or tree.fresh.get(element)
        scope = element.nsmap
        parts = [f"<{name}", *_declarations(scope, {} if around is None else around.scope)]
        parts += [f"{key}={_shown_value(name, key, each, secret)}" for key, each in values.items()]
        tag = " ".join(parts) if inline else _wrapped(parts, _INDENT * depth)
        notes = [self._place(element, fresh), *(_note(key, each) for key, each in values.items())]

        text = own_text(element)
        holds_elements = len(element) > 0 and next(element.iterchildren(etree.Element), None) is not None
        if not holds_elements and element not in tree.containers:
            if not text.strip(BLANKS) and ("\n" in text or len(element)):
                text = ""
            content = substituted(tree, element, text)
            notes.append(_note("text", content))
            whole = f"{tag}>{_shown_text(content, secret)}</{name}>" if text else f"{tag}/>"
            self._write(whole, _remark(notes), around)
            self._follow(element, around)
            return
        inline = inline or bool(text.strip(BLANKS))
        # What is among the text of a secret, or of a key's value, is read as a part of it.
        inside_secret = inside_secret or (secret and (inline or name == "value"))
        current = _Open(element, depth, inline, secret, inside_secret, fresh, scope, _remark(notes), iter(element))
        current.sources += tree.containers.get(element, ())
        self._write(f"{tag}>", current.remark, around)
        unfinished.append(current)
        if inline:
            self._announce(current, current.sources[0] if current.sources else None)
            self._add_text(element.text, current)
        if element in tree.stores:
            self._say(f"{self._relative(tree.stores[element].directory)}/: each element in a file of its own", current)
        elif tree.containers.get(element) == []:
            self._say("no file matches", current)

    def _end(self, current: _Open, around: _Open | None) -> None:
        self._announce(current, None)
        closing = f"</{element_name(current.element)}>"
        if current.inline:
            self._add(closing)
        else:
            self._lines.append(_Line(_INDENT * current.depth + closing))
        self._follow(current.element, around)

    def _follow(self, node: etree._Element, around: _Open | None) -> None:
        """Write what follows a node, where that is more than layout."""
        if around is not None and around.inline:
            self._add_text(node.tail, around)

    def _write(self, text: str, remark: str, around: _Open | None) -> None:
        if around is None or not around.inline:
            self._lines.append(_Line(text, remark))
        else:
            self._add(text + (remark if remark != around.remark else ""))

    def _add(self, text: str) -> None:
        self._lines[-1].text += text

    def _add_text(self, raw: str | None, around: _Open) -> None:
        """Write a text that stands among elements."""
        content = substituted(self._tree, around.element, raw or "")
        note = _note("text", content)
        self._add(_shown_text(content, around.secret) + (_comment(note) if note else ""))

    # What is told about them

    def _say(self, text: str, around: _Open) -> None:
        """Write a comment among the content of an element."""
        if around.inline:
            self._add(_comment(text))
        else:
            self._lines.append(_Line(_INDENT * (around.depth + 1) + _comment(text)))

    def _mark_off(self, element: etree._Element, depth: int, around: _Open | None) -> None:
        try:
            if self._tree.condition_holds(element):
                return
            text = f"<{element_name(element)}>: its require_env does not hold"
        except ConfigurationError as error:
            text = hide_secrets(str(error))
        if around is None:
            self._lines.append(_Line(_comment(text)))
        else:
            self._say(text, around)

    def _announce(self, current: _Open, source: Source | None) -> None:
        """Mention the included files up to one, or all that are left."""
        while current.sources and (source is None or source in current.sources):
            each = current.sources.pop(0)
            self._say(self._described(each, current), current)
            if each is source:
                return

    def _described(self, source: Source, current: _Open) -> str:
        kinds = ", ".join(
            text for text, holds in (("snippet", source.kind == "snippet"), ("read-only", source.readonly)) if holds
        )
        text = self._relative(source.path) + (f" ({kinds})" if kinds else "")
        if not source.attributes:
            return text
        # A relative path in a value means one beside the file, as for an element of it.
        nodes = self._tree.nodes_of(source, current.element)
        at = next(filter(is_element, nodes), current.element)
        values = {key: substituted(self._tree, at, raw, key) for key, raw in source.attributes.items()}
        shown = " ".join(f"{key}={_shown_value('', key, each, False)}" for key, each in values.items())
        notes = [f"{text}: its root hands down {shown}", *(_note(key, each) for key, each in values.items())]
        if at is not current.element and not self._dropped_root_holds(at):
            notes.append("its require_env does not hold")
        return "; ".join(filter(None, notes))

    def _dropped_root_holds(self, node: etree._Element) -> bool:
        try:
            return self._tree._dropped_root_holds(node)
        except ConfigurationError:
            return False

    def _place(self, element: etree._Element, fresh: Source | Store | None) -> str:
        """Where an element stands, and whether that file holds it as it is."""
        if isinstance(fresh, Source) and not fresh.changed:
            return self._relative(fresh.path)  # the line is not known before it is read again
        if fresh is not None:
            return "not in a file yet"
        place = self._relative(self._tree.where(element))
        if not self._edited:
            return place
        origin = self._tree.origin(element)
        if isinstance(origin, Source):
            edits = origin.edits
            noted = (
                element in edits.tags or element in edits.contents or (not len(element) and element in edits.children)
            )
            edited = origin.changed and noted
        else:
            edited = any(element in store.touched for store in self._tree.stores.values())
        return f"{place}; changed since it was read" if edited else place

    def _relative(self, path: str) -> str:
        return path.removeprefix(self._folder)


def _declarations(scope: Mapping[str | None, str], around: Mapping[str | None, str]) -> list[str]:
    """The namespace declarations that an element needs within those that hold around it."""
    declared = [
        f"xmlns:{prefix}={_quoted(uri)}" if prefix else f"xmlns={_quoted(uri)}"
        for prefix, uri in scope.items()
        if around.get(prefix) != uri
    ]
    return [*declared, 'xmlns=""'] if None in around and None not in scope else declared


def _wrapped(parts: list[str], indent: str) -> str:
    """A start tag but for its end: on one line, or if that is too long, with each attribute on its own."""
    line = indent + " ".join(parts)
    if len(line) < _WIDTH or len(parts) < 3:
        return line
    return f"{indent}{parts[0]} " + f"\n{indent}{' ' * len(parts[0])} ".join(parts[1:])


def _shown_value(tag: str, name: str, text: Substituted, secret: bool) -> str:
    if text.replaced and text.secret:
        return _quoted(MASK)
    used = () if text.problem else text.used
    return _quoted(shown_attribute(tag, name, text.value, secret=secret, used=used))


def _shown_text(text: Substituted, secret: bool) -> str:
    if text.replaced and text.secret:
        return MASK
    used = () if text.problem else text.used
    return escaped_content(_NO_XML.sub("\ufffd", shown_text(text.value, secret=secret, used=used)), "\n")


def _quoted(value: str) -> str:
    return f'"{escaped_value(_NO_XML.sub(chr(0xFFFD), value))}"'


def _note(name: str, text: Substituted) -> str:
    """What is to be known of a value's origin, or `""`."""
    if text.problem:
        return f"{name} cannot be read: {text.problem}"
    return f"{name} from {origins(text)}" if text.used else ""


def _remark(notes: list[str]) -> str:
    return _comment("; ".join(filter(None, notes)))


def _comment(text: str) -> str:
    """A comment; two hyphens in a row may not stand in one."""
    text = re.sub("-(?=-)", "- ", " ".join(_NO_XML.sub("\ufffd", text).split()))
    return f"<!-- {text} -->"
