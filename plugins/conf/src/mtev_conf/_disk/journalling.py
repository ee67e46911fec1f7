"""Changes that are acknowledged before the files are written: kept in a journal, carried out again at the next start.

1. The journal begins with the digests of the files that its changes build on. Each generation is one record, on the
   disk before it comes into force.
2. A save writes the files and removes the journal as one set. So whenever there is a journal, its changes are not in
   the files, or the files are no longer those that it was begun for; then it is refused, never guessed at.
3. Undoing what cannot be carried out again is the operator's: the message says which file to look at.
"""

from __future__ import annotations

import json

from mtev_kernel.errors import ConfigurationError

from .._editing.changes import Change, from_json, to_json
from .._history import Generation
from .._tree import Tree
from .commit import ANYTHING, Remove
from .journal import Journal

__all__ = ["ChangeJournal"]

_VERSION = 1


class ChangeJournal:
    """The journal of one configuration. Not thread-safe: the configuration calls it one at a time.

    Args:
        path: its file.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._journal = Journal(path)
        self._open = False

    @property
    def present(self) -> bool:
        """Whether there is a journal on the disk."""
        return self._journal.exists()

    def record(self, tree: Tree, generation: Generation) -> None:
        """Keep a generation. Returns when it is on the disk.

        Raises:
            ConfigurationError: it cannot be written.
        """
        if not self._open:
            if self.present:
                self._journal.open()
            else:
                self._journal.create(_encoded({"version": _VERSION, "files": _digests(tree)}))
        self._open = False  # it is not, when appending fails
        self._journal.append(
            _encoded(
                {
                    "time_s": generation.time_s,
                    "who": generation.who,
                    "why": generation.why,
                    "changes": [to_json(each) for each in generation.changes],
                }
            )
        )
        self._open = True

    def replay(self, tree: Tree) -> list[tuple[str, str, list[Change]]]:
        """What is in the journal: who, why and changes of each generation, in order. Nothing is written.

        Raises:
            ConfigurationError: it is damaged, or the files are not those that it was begun for.
        """
        records = self._journal.read()
        try:
            header = json.loads(records.header)
            if header["version"] != _VERSION:
                raise ConfigurationError(f"it is of version {header['version']}; this one knows {_VERSION}", self.path)
            files = header["files"]
            found = [
                (record["who"], record["why"], [from_json(each) for each in record["changes"]])
                for record in map(json.loads, records.records)
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"the journal of changes cannot be read ({error}); move it aside to go on without them", self.path
            ) from error
        edited = sorted(path for path, value in _digests(tree).items() if files.get(path) != value)
        if edited:
            count = f"{len(found)} change{'s' if len(found) != 1 else ''}"
            raise ConfigurationError(
                f"the journal has {count} for files that somebody has edited since ({', '.join(edited)}); "
                "take the edits back, or move the journal aside to go on without its changes",
                self.path,
            )
        return found

    def ending(self) -> list[Remove]:
        """What a save does to the journal."""
        return [Remove(self.path, ANYTHING)] if self.present else []

    def ended(self) -> None:
        """The journal has been removed: the next change begins another."""
        self._journal.close()
        self._open = False


def _digests(tree: Tree) -> dict[str, str]:
    return {each.path: each.digest.hex() for each in tree.sources if each.kind != "leaf"}


def _encoded(record: object) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
