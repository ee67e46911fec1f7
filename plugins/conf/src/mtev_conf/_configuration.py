"""The configuration of a service: the document in force, behind an object that outlives every reload."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from mtev_kernel.errors import ConfigurationError

from ._section import Section
from ._tree import Tree

if TYPE_CHECKING:
    from mtev_kernel.document import Document

__all__ = ["Configuration"]


class Configuration:
    """A configuration document, to be read section by section. Thread-safe.

    Plugins obtain it as a service: `context.services.require(Configuration)`. A reload replaces the document inside
    and leaves the object the same; sections handed out before go on showing the document that they came from.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: tuple[int, Tree | None] = (0, None)

    @classmethod
    def parse(
        cls,
        text: str | bytes,
        path: str = "<string>",
        environ: Mapping[str, str] | None = None,
        *,
        notice: Callable[[str], None] | None = None,
    ) -> Configuration:
        """Parse a document that is in memory.

        Args:
            text: the document; of bytes the encoding is what it declares.
            path: what to call it in messages.
            environ: the environment it is read in; the process's, as it is now, when None.
            notice: called once for each thing that was taken otherwise than it may have been meant.

        Raises:
            ConfigurationError: it is malformed, or uses what is refused.
        """
        if isinstance(text, bytes):
            return cls._holding(Tree(text, path, environ, notice))
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise ConfigurationError(f"the document holds what is not text: {error}", path) from None
        return cls._holding(Tree(data, path, environ, notice, encoding="utf-8"))

    @classmethod
    def load(
        cls, path: str, environ: Mapping[str, str] | None = None, *, notice: Callable[[str], None] | None = None
    ) -> Configuration:
        """Read and parse a file. Blocks on the file system; otherwise as `parse`.

        Raises:
            ConfigurationError: it is malformed, or uses what is refused.
            OSError: it cannot be read.
        """
        return cls._holding(Tree.load(path, environ, notice))

    @property
    def path(self) -> str:
        """Absolute path of the file, or the name given to `parse`."""
        return self._tree.path

    @property
    def root(self) -> Section:
        """The root element."""
        tree = self._tree
        return Section(tree, tree.root)

    @property
    def root_name(self) -> str:
        """Name of the root element, which is the application's."""
        return self.root.name

    @property
    def generation(self) -> int:
        """How many documents have been in force: 0 before the first, and one more with every reload that succeeds."""
        return self._current[0]

    @property
    def notices(self) -> Sequence[str]:
        """What of the present document was taken otherwise than it may have been meant, as far as it was read."""
        return self._tree.notices

    def sections(self, xpath: str, **variables: str) -> list[Section]:
        """The elements that an XPath expression selects, in document order.

        Args:
            xpath: relative to the root element (`listeners//listener`) or absolute (`/example1/listeners`).
            variables: values of `$names` in the expression.

        Raises:
            ConfigurationError: the expression is malformed, or does not select nodes.
        """
        return self.root.sections(xpath, **variables)

    def section(self, xpath: str, **variables: str) -> Section | None:
        """The last of the elements that an XPath expression selects (as in libmtev), or None; see `sections`."""
        return self.root.section(xpath, **variables)

    def document(self) -> Document:
        """The document in force as the kernel sees it. It stays that document, whatever is loaded later."""
        from ._document import TreeDocument

        return TreeDocument(self._tree)

    def adopt(self, other: Configuration) -> None:
        """Put another configuration's document in force here, in one step."""
        tree = other._tree
        with self._lock:
            self._current = (self._current[0] + 1, tree)

    @property
    def _tree(self) -> Tree:
        tree = self._current[1]
        if tree is None:
            raise ConfigurationError("no configuration document has been opened yet")
        return tree

    @classmethod
    def _holding(cls, tree: Tree) -> Configuration:
        configuration = cls()
        configuration._current = (1, tree)
        return configuration
