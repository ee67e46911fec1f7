"""Positions as paths say them, counting elements of one name, and as changes say them, counting all. Pure."""

from __future__ import annotations

from lxml import etree

from .._editing.paths import path_of, step_name

__all__ = ["position_of_nth"]


def position_of_nth(parent: etree._Element, name: str, number: int, *, without: etree._Element | None = None) -> int:
    """Where among all elements of a parent one has to stand to be the n-th of its name: before the present n-th.

    Args:
        parent: where.
        name: as a step of a path says it; `*` counts all elements.
        number: from 1, as in a path.
        without: an element to be taken as absent: the one that is to stand there.

    Returns:
        The position, from 0. Behind the last of the name, or of all where there is none, for one more than there are.

    Raises:
        ValueError: it cannot be the n-th, since there are too few.
    """
    children = [each for each in parent.iterchildren(etree.Element) if each is not without]
    same = [position for position, each in enumerate(children) if name in ("*", step_name(each))]
    if 1 <= number <= len(same):
        return same[number - 1]
    if number != len(same) + 1:
        raise ValueError(
            f"nothing can become {name}[{number}] in {path_of(parent)}, which has {len(same)} others of that name; "
            f"write 1 to {len(same) + 1}"
        )
    return same[-1] + 1 if same else len(children)
