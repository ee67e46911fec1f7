"""The schemas of a document: what types mean in JSON, by msgspec, each named one written once."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

__all__ = ["Schemas"]

_KEY = re.compile(r"[A-Za-z0-9._-]+")
_PLACE = "#/components/schemas/"
_MAX_NAMESAKES = 100

Schema = dict[str, object]


class Schemas:
    """Collects the schemas of types.

    Args:
        components: named ones to begin with; they keep their names.

    Attributes:
        components: the named ones so far.
    """

    def __init__(self, components: Mapping[str, Schema]) -> None:
        self.components: dict[str, Schema] = dict(components)

    def of(self, kind: type | object) -> Schema:
        """The schema of a type. Two types of the same name that differ get names that do.

        Args:
            kind: anything. What msgspec cannot describe may be anything, and is called by its name.
        """
        for number in range(1, _MAX_NAMESAKES):
            suffix = f"_{number}" if number > 1 else ""
            made = _made(kind, suffix)
            if made is None:
                break
            schema, named = made
            if all(self.components.get(name, each) == each for name, each in named.items()):
                self.components.update(named)
                return schema
        return {"x-mtev-type": getattr(kind, "__name__", None) or str(kind)[:200]}


def _made(kind: type | object, suffix: str) -> tuple[Schema, dict[str, Schema]] | None:
    try:
        (schema,), named = msgspec.json.schema_components((kind,), ref_template=f"{_PLACE}{{name}}{suffix}")
    except Exception:  # whatever a plugin calls a type must not cost the others their documentation
        return None
    components = {f"{name}{suffix}": each for name, each in named.items()}
    return (schema, components) if all(map(_KEY.fullmatch, components)) else None
