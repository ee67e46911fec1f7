"""Static files: which file a path means, and what kind of file that is. Pure; `_files` opens it.

Rules:

1. A path names a file below the root by its segments. A segment that is empty, begins with a dot (`.`, `..` and hidden
   files), or holds a backslash or NUL is refused: 404, as if there were nothing.
2. A path that ends in `/`, and the root itself, mean the index file of that directory.
3. The last extension says the media type: `mime_type_EXT` of the listener first, then the table here, then octets.
   Nothing depends on what the machine has installed.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["DEFAULT_INDEX", "media_type", "segments"]

DEFAULT_INDEX = "index.html"

_OCTETS = "application/octet-stream"
_MAX_SEGMENTS = 64
_MAX_NAME = 255
_TYPES = {
    "7z": "application/x-7z-compressed",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "bz2": "application/x-bzip2",
    "css": "text/css; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "eot": "application/vnd.ms-fontobject",
    "gif": "image/gif",
    "gz": "application/gzip",
    "htm": "text/html; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "ico": "image/x-icon",
    "ics": "text/calendar; charset=utf-8",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "lua": "text/plain; charset=utf-8",
    "map": "application/json",
    "md": "text/markdown; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "ogg": "audio/ogg",
    "otf": "font/otf",
    "pdf": "application/pdf",
    "png": "image/png",
    "svg": "image/svg+xml",
    "tar": "application/x-tar",
    "ttf": "font/ttf",
    "txt": "text/plain; charset=utf-8",
    "wasm": "application/wasm",
    "wav": "audio/wav",
    "webm": "video/webm",
    "webmanifest": "application/manifest+json",
    "webp": "image/webp",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xml": "application/xml",
    "xsd": "application/xml",
    "xsl": "application/xml",
    "zip": "application/zip",
    "zst": "application/zstd",
}


def segments(path: str, index: str) -> tuple[str, ...] | None:
    """The names from the root to the file that a path means.

    Args:
        path: decoded; what follows the first slash.
        index: name of the index file.

    Returns:
        At least one name; None when the path is refused.
    """
    parts = path.split("/")
    if parts[-1] == "":
        parts[-1] = index
    if len(parts) > _MAX_SEGMENTS or not all(map(_harmless, parts)):
        return None
    return tuple(parts)


def media_type(name: str, config: Mapping[str, str]) -> str:
    """The media type of a file.

    Args:
        name: of the file.
        config: options of the listener; `mime_type_EXT` are asked first.
    """
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem:
        return _OCTETS
    extension = extension.lower()
    return config.get(f"mime_type_{extension}") or _TYPES.get(extension, _OCTETS)


def _harmless(name: str) -> bool:
    return bool(name) and not name.startswith(".") and "\\" not in name and "\0" not in name and len(name) <= _MAX_NAME
