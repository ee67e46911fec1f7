"""Who holds an address that cannot be bound, as far as Linux tells this user. A help for messages; never raises."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from ._address import TcpAddress, UnixAddress

__all__ = ["owner_of"]

_LISTEN = "0A"
_PATIENCE_S = 0.5


def owner_of(address: TcpAddress | UnixAddress, proc: Path = Path("/proc")) -> str:
    """Who listens there: `process 4711 (nginx)`, `this process`, or `""` when that cannot be known.

    Args:
        address: the address.
        proc: where Linux tells of processes.
    """
    try:
        inodes = _unix_inodes(address.path, proc) if isinstance(address, UnixAddress) else _tcp_inodes(address, proc)
        return _process_of(inodes, proc) if inodes else ""
    except (OSError, ValueError, IndexError):  # whatever /proc looks like here, it must not hide the real error
        return ""


def _tcp_inodes(address: TcpAddress, proc: Path) -> set[str]:
    """Listening sockets on the port, on the same address or on any."""
    found = set()
    for table in ("tcp", "tcp6"):
        path = proc / "net" / table
        if not path.exists():
            continue
        for line in path.read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            host, _, port = words[1].partition(":")
            if words[3] == _LISTEN and int(port, 16) == address.port and _overlap(host, address.host):
                found.add(words[9])
    return found


def _overlap(shown: str, host: str) -> bool:
    if not shown.strip("0") or not _hexadecimal(host).strip("0"):
        return True
    return shown == _hexadecimal(host)


def _hexadecimal(host: str) -> str:
    """An address as `/proc/net/tcp` writes it: words of four bytes, each the wrong way round on most machines."""
    packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, 'little'):08X}" for word in words)


def _unix_inodes(path: str, proc: Path) -> set[str]:
    lines = (proc / "net" / "unix").read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    return {words[6] for words in (line.split(None, 7) for line in lines) if len(words) == 8 and words[7] == path}


def _process_of(inodes: set[str], proc: Path) -> str:
    wanted = {f"socket:[{inode}]" for inode in inodes}
    until = time.monotonic() + _PATIENCE_S
    for process in sorted(proc.iterdir(), key=lambda each: each.name != str(os.getpid())):
        if not process.name.isdigit() or time.monotonic() > until:
            continue
        try:
            held = any(os.readlink(entry) in wanted for entry in (process / "fd").iterdir())  # noqa: PTH115  # /proc's links lead nowhere
        except OSError:  # of another user, or gone meanwhile
            continue
        if held:
            if process.name == str(os.getpid()):
                return "this very process"
            name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
            return f"process {process.name} ({name})"
    return ""
