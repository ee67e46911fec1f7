"""Reading and changing a configuration as REST does, without HTTP: requests come as plain values, answers go as such.

Everything here may block, and is thread-safe. Rules are told in `rest`.
"""

from __future__ import annotations

import codecs
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from lxml import etree

from mtev_kernel.errors import ConfigurationError

from .._configuration import Configuration
from .._disk.commit import Conflict
from .._editing.changes import Change, labels_of
from .._editing.paths import written_name
from .._load import parse_document
from .._masking import MASK, secret_content, shown_attribute
from .._names import own_attributes
from .._section import Section
from .._settings import ConfSettings
from .console_commands import reasons
from .rest_changes import Batched, read_batch
from .rest_document import (
    Conditions,
    Place,
    Refusal,
    check_conditions,
    check_masks,
    content_tag,
    etag,
    locate,
    replacement,
    same_representation,
    whole_path,
)
from .rest_representation import (
    changes_json,
    element_json,
    generation_json,
    json_bytes,
    pending_json,
    preferred,
    xml_bytes,
)
from .shown import all_text, masked_element

__all__ = ["Answer", "Elements", "Order"]

_LISTS = ("history", "pending")
_MAX_JSON_ELEMENTS = 100_000
_XML_TYPES = ("application/xml", "text/xml")
_JSON, _XML, _TEXT = "application/json", "application/xml", "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Order:
    """A change that is asked for.

    Args:
        path: of what, as in `locate`.
        who: asks, for the history.
        conditions: on what it depends.
        write: whether the files are to be written before the answer.
    """

    path: str
    who: str
    conditions: Conditions
    write: bool = False


class Elements:
    """The resources below `/mtev/conf`.

    Args:
        configuration: what is read and changed.
        settings: what `<conf>` says now.
    """

    def __init__(self, configuration: Configuration, settings: Callable[[], ConfSettings]) -> None:
        self._configuration = configuration
        self._settings = settings
        self._key = secrets.token_bytes(32)

    # Reading

    def document_xml(self) -> Answer:
        """The effective document, as `--dump-config` shows it."""
        return Answer(200, self._configuration.document().dump().encode("utf-8", "replace"), _XML)

    def document_json(self) -> Answer:
        """The same as JSON; see `element_json`."""
        root = self._configuration.root
        with root._tree.lock:
            body = _element_json(root, self._configuration.generation, substitute=True)
        return Answer(200, body, _JSON)

    def history(self) -> Answer:
        """The last generations, oldest first."""
        return _json(200, [generation_json(each) for each in self._configuration.history()])

    def pending(self) -> Answer:
        """What waits for a restart."""
        return _json(200, pending_json(self._configuration.pending()))

    def read(self, path: str, form: str, accept: str, if_none_match: str | None) -> Answer:
        """An element or an attribute, as it is written.

        Args:
            path: see `locate`.
            form: `xml`, `json`, `text`, or `""` for what the client accepts.
            accept: its header `Accept`.
            if_none_match: its header of that name.

        Raises:
            Refusal: 404, 409: it is not there, or not one. 400: it has not that form.
        """
        root = self._configuration.root
        with root._tree.lock:  # the answer is of one moment
            place, content = self._look(root, path)
            if content is None:
                raise place.missing()
            leaf = next(place.nearest._element.iterchildren(etree.Element), None) is None
            forms = {"text/plain": "text", _JSON: "json"}
            if not place.attribute:
                forms = {_XML: "xml", "text/xml": "xml", _JSON: "json", **({"text/plain": "text"} if leaf else {})}
            form = form or preferred(accept, forms)
            if form not in forms.values():
                raise Refusal(
                    400, f"there is no format '{form}' of this; there is {', '.join(dict.fromkeys(forms.values()))}"
                )
            body, kind = self._representation(place, form)
        tag = etag(content, body)
        headers = {"ETag": tag, "Vary": "Accept"}
        if if_none_match is not None and same_representation(if_none_match, tag):
            return Answer(304, headers=headers)
        return Answer(200, body, kind, headers)

    # Changing

    def put(self, order: Order, body: bytes, media: str, charset: str) -> Answer:
        """Replace what is there, or make it.

        Args:
            order: what and by whom.
            body: of the request.
            media: its type, in lower case.
            charset: the parameter of that name, or `""`.

        Raises:
            Refusal: it is not carried out, and nothing is changed; or it is, but not written as was asked.
        """
        self.check_allowed(order.path)
        with self._configuration.exclusive():  # nobody changes what the conditions were checked against
            before = self._configuration.generation
            place, content = self._look(self._configuration.root, order.path)
            check_conditions(order.conditions, content)
            if content is None and not (place.free or (place.found and place.attribute)):
                raise place.missing()
            if media in _XML_TYPES or media.endswith("+xml"):
                self._put_xml(place, order.who, body, charset)
            elif media == "text/plain":
                self._put_text(place, order.who, _value(body, charset))
            else:
                raise Refusal(
                    415,
                    f"the body is {media or 'of no type'}; send XML as application/xml, or the value of an attribute "
                    "or the text of an element as text/plain",
                )
            place, now = self._look(self._configuration.root, order.path)
            body, _ = self._representation(place, "text" if place.attribute else "xml")
            headers = {"ETag": etag(now or "", body)}
            outcome = self._outcome(place.shown, before)
        return self._written(200 if content is not None else 201, outcome, headers, order)

    def delete(self, order: Order) -> Answer:
        """Remove what is there. As `put`."""
        self.check_allowed(order.path)
        configuration = self._configuration
        with configuration.exclusive():  # as above
            before = configuration.generation
            place, content = self._look(self._configuration.root, order.path)
            check_conditions(order.conditions, content)
            if content is None:
                raise place.missing()
            path = place.shown
            with _refusals(), configuration.transaction(order.who, f"DELETE {path}") as change:
                if place.attribute:
                    change.unset(place.nearest, place.attribute)
                else:
                    change.remove(place.nearest)
            outcome = self._outcome(path, before)
        return self._written(200, outcome, {}, order)

    def change(self, order: Order, body: bytes, media: str) -> Answer:
        """Carry out a set of changes, all of it or nothing; see `rest_changes`. As `put`; the path is the root's.

        Conditions are about the whole document, and none is needed: each change says what it expects.
        """
        self.check_allowed(order.path)
        if media != _JSON:
            raise Refusal(415, f"the body is {media or 'of no type'}; send a set of changes as {_JSON}")
        batch, configuration = read_batch(body), self._configuration
        with configuration.exclusive():  # as above
            before, root = configuration.generation, configuration.root
            if batch.generation not in (None, before):
                raise Refusal(
                    412,
                    f"the document is at generation {before} by now; look again, and decide again",
                    generation=before,
                )
            if order.conditions != Conditions():
                check_conditions(order.conditions, self._look(root, order.path)[1])
            check_masks([replace(each, path=whole_path(root, each.path.removeprefix("/"))) for each in batch.changes])
            with _refusals(), Batched(configuration, order.who, batch):
                pass
            outcome = self._outcome(root.path, before)
        return self._written(200, outcome, {}, order)

    def check_allowed(self, path: str) -> None:
        """Refuse changes where they are switched off, and to what is no element.

        Raises:
            Refusal: 403 or 405.
        """
        settings = self._settings()
        if not settings.rest_write:
            place = f"<conf> at {settings.where}" if settings.where else "<conf>, directly below the root,"
            raise Refusal(403, f'changes over REST are switched off; rest_write="on" in {place} switches them on')
        if path.strip("/") in _LISTS:
            raise Refusal(
                405, f"this is a list, no element; an element of that name is '{self._configuration.root_name}/{path}'"
            )

    def _put_xml(self, place: Place, who: str, body: bytes, charset: str) -> None:
        if place.attribute:
            raise Refusal(415, "an attribute has no XML; send its value as text/plain")
        try:
            codecs.lookup(charset or "utf-8")
        except LookupError:
            raise Refusal(415, f"there is no charset '{charset}'; send UTF-8") from None
        try:
            wanted, _ = parse_document(body, "<body>", charset or None)
        except ConfigurationError as error:
            raise Refusal(400, str(error)) from None
        if written_name(wanted) != place.name:
            raise Refusal(400, f"the body is <{written_name(wanted)}>, but {place.path} is <{place.name}>")
        why = f"PUT {place.shown}"
        if not place.found:
            xml = etree.tostring(wanted, encoding="unicode", with_tail=False)
            check_masks([Change("add", place.path, new=xml, index=0)])
            with _refusals(), self._configuration.transaction(who, why) as change:
                change.add_xml(place.nearest, xml)
            return
        tree = place.nearest._tree
        with tree.lock:
            script = replacement(place.nearest._element, wanted)
        check_masks(script)

        with _refusals():
            self._configuration.apply(script, who, why)

    def _put_text(self, place: Place, who: str, value: str) -> None:
        if MASK in value:
            check_masks([Change("text", place.shown, old="", new=value)])
        with _refusals(), self._configuration.transaction(who, f"PUT {place.shown}") as change:
            if place.attribute:
                change.set(place.nearest, place.attribute, value)
            elif place.found:
                change.text(place.nearest, value)
            else:
                change.add(place.nearest, place.name, text=value)

    def _outcome(self, path: str, before: int) -> dict[str, object]:
        """What has come of a change, as JSON."""
        configuration = self._configuration
        changes: Sequence[Change] = ()
        if configuration.generation != before:
            changes = configuration.history()[-1].changes
        paths = {each.path for each in changes}
        return {
            "path": path,
            "generation": configuration.generation,
            "changes": changes_json(changes),
            "pending": pending_json(each for each in configuration.pending() if each.change.path in paths),
        }

    def _written(self, status: int, outcome: Mapping[str, object], headers: Mapping[str, str], order: Order) -> Answer:
        """The answer to a change, once the files are written if that was asked for.

        Raises:
            Refusal: they cannot be written; the change stays in memory.
        """
        if not order.write:
            return _json(status, outcome, headers)
        try:
            paths = self._configuration.write()
        except ConfigurationError as error:
            raise Refusal(
                409 if isinstance(error, Conflict) else 500,
                "the change is in force, but the files are not written",
                reasons=reasons(error),
                **outcome,
            ) from error
        return _json(status, {**outcome, "written": paths}, headers)

    # What is there

    def _look(self, root: Section, path: str) -> tuple[Place, str | None]:
        with root._tree.lock:
            place = locate(root, path)
            return place, self._content(place)

    def _content(self, place: Place) -> str | None:
        """The content part of the entity tag of what is at a place, or None."""
        if place.attribute:
            value = place.value()
            return None if value is None else content_tag(value, self._key)
        return content_tag(place.nearest._element, self._key) if place.found else None

    def _representation(self, place: Place, form: str) -> tuple[bytes, str]:
        section, generation = place.nearest, self._configuration.generation
        if place.attribute:
            value = _masked_attribute(section, place.attribute)
            if form == "text":
                return value.encode("utf-8", "replace"), _TEXT
            data = {"path": place.shown, "where": section.where, "value": value, "generation": generation}
            return json_bytes(data), _JSON
        if form == "json":
            return _element_json(section, generation, substitute=False), _JSON
        shown = masked_element(section)
        if form == "xml":
            return xml_bytes(shown), _XML
        return all_text(shown).encode("utf-8", "replace"), _TEXT


@contextmanager
def _refusals() -> Iterator[None]:
    """What the configuration refuses, with all reasons."""
    try:
        yield
    except ConfigurationError as error:
        raise Refusal(422, f"refused: {error}", reasons=reasons(error)) from error


def _element_json(section: Section, generation: int, *, substitute: bool) -> bytes:
    """An element as JSON. The caller holds the lock of its tree.

    Raises:
        Refusal: 400: it has too many elements, or too many levels of them.
    """
    element, tree = section._element, section._tree
    count = sum(1 for _ in element.iter(etree.Element))
    if count <= _MAX_JSON_ELEMENTS:
        try:
            return json_bytes({**element_json(tree, element, substitute=substitute), "generation": generation})
        except RecursionError:  # files that include each other can make so many levels
            raise Refusal(
                400, "its elements have too many levels for JSON; ask for a part of them, or for XML"
            ) from None
    raise Refusal(
        400,
        f"{count} elements are too many for JSON, which is limited to {_MAX_JSON_ELEMENTS}; ask for a part of them, or "
        "for XML",
    )


def _masked_attribute(section: Section, name: str) -> str:
    element = section._element
    names = [written_name(each) for each in (element, *element.iterancestors())]
    value = own_attributes(element)[name]
    return shown_attribute(names[0], name, value, secret=secret_content(names, labels_of(element)))


def _value(body: bytes, charset: str) -> str:
    """A body of plain text as a value; one line end at its end is not part of it."""
    if charset.lower() not in ("", "utf-8", "us-ascii"):
        raise Refusal(415, f"the charset is {charset}; send UTF-8")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refusal(400, f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    return text.removesuffix("\n").removesuffix("\r")


def _json(status: int, data: object, headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status, json_bytes(data), _JSON, headers or {})
