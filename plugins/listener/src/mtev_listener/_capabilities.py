"""Capabilities: what this service is and offers, in the shapes that libmtev's clients read."""

from __future__ import annotations

import platform
import struct
import sysconfig
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ._commands import Command, code_text
from .errors import RegistrationError

__all__ = ["Capabilities", "Machine", "Snapshot", "as_json", "as_xml", "now_ms", "this_machine"]


class Capabilities:
    """What plugins add to the capabilities of the service. Thread-safe.

    Attributes:
        application_version: version of the service itself; set it from the plugin that is the application.
    """

    def __init__(self) -> None:
        self.application_version = "unknown"
        self._lock = threading.Lock()
        self._features: dict[str, str] = {}

    def add_feature(self, name: str, version: str = "") -> None:
        """Say that the service has a feature.

        Args:
            name: of the feature.
            version: of whatever implements it, or `""`.

        Raises:
            RegistrationError: somebody said so already.
        """
        with self._lock:
            if name in self._features:
                raise RegistrationError(f"the feature '{name}' is among the capabilities already")
            self._features[name] = version

    def features(self) -> dict[str, str]:
        """The features and their versions."""
        with self._lock:
            return dict(self._features)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, as uname describes it."""

    bitwidth: int
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that capabilities consist of.

    Args:
        version: of the application.
        mtev_version: of the kernel.
        build: the machine that the interpreter was built for.
        run: the machine that it runs on.
        now_ms: milliseconds since the epoch.
        features: name to version.
        services: dispatching listener type to its commands.
        modules: name to type.
    """

    version: str
    mtev_version: str
    build: Machine
    run: Machine
    now_ms: int
    features: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, Sequence[Command]] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)


def this_machine() -> tuple[Machine, Machine]:
    """The machine that this interpreter was built for, as far as it knows, and the one that it runs on."""
    bitwidth = struct.calcsize("P") * 8
    system, _, machine = sysconfig.get_platform().partition("-")
    now = platform.uname()
    names = {
        "sysname": now.system,
        "nodename": now.node,
        "release": now.release,
        "version": now.version,
        "machine": now.machine,
    }
    return Machine(bitwidth, {"sysname": system, "machine": machine.rpartition("-")[2]}), Machine(bitwidth, names)


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def as_json(snapshot: Snapshot) -> dict[str, object]:
    """The JSON document, libmtev's field for field.

    libmtev's services are keyed by an address in memory, which differs per run and may not be relied upon; ours are
    numbered in the same notation.
    """
    services: dict[str, object] = {}
    for number, (service, commands) in enumerate(snapshot.services.items(), start=1):
        services[f"0x{number:08x}"] = {
            service: service,
            "commands": {
                code_text(each.code): {"name": each.name, **({"version": each.version} if each.version else {})}
                for each in commands
            },
        }
    return {
        "version": snapshot.version,
        "mtev_version": snapshot.mtev_version,
        "unameBuild": {"bitwidth": snapshot.build.bitwidth, **snapshot.build.names},
        "unameRun": {"bitwidth": snapshot.run.bitwidth, **snapshot.run.names},
        "features": {name: {"version": version} if version else {} for name, version in snapshot.features.items()},
        "current_time": snapshot.now_ms,
        "services": services,
        "modules": {name: {"type": kind} for name, kind in snapshot.modules.items()},
    }


def as_xml(snapshot: Snapshot, connected: str = "", root: str = "mtev_capabilities") -> bytes:
    """The XML document of the command `CAPA`, libmtev's element for element.

    Args:
        snapshot: what to say.
        connected: the service over which it is asked.
        root: name of the root element.
    """
    top = ElementTree.Element(root)
    ElementTree.SubElement(top, "version").text = snapshot.version
    ElementTree.SubElement(top, "mtev_version").text = snapshot.mtev_version
    for tag, machine in (("unameBuild", snapshot.build), ("unameRun", snapshot.run)):
        uname = ElementTree.SubElement(top, tag, bitwidth=str(machine.bitwidth))
        for name, text in machine.names.items():
            ElementTree.SubElement(uname, name).text = text
    features = ElementTree.SubElement(top, "features")
    for name, version in snapshot.features.items():
        ElementTree.SubElement(features, "feature", _with_version(name, version))
    seconds, rest_ms = divmod(snapshot.now_ms, 1000)
    ElementTree.SubElement(top, "current_time").text = f"{seconds}.{rest_ms:03d}"
    services = ElementTree.SubElement(top, "services")
    for service, commands in snapshot.services.items():
        attributes = {"name": service, **({"connected": "true"} if service == connected else {})}
        element = ElementTree.SubElement(services, "service", attributes)
        for each in commands:
            ElementTree.SubElement(
                element, "command", {**_with_version(each.name, each.version), "code": code_text(each.code)}
            )
    modules = ElementTree.SubElement(top, "modules")
    for name, kind in snapshot.modules.items():
        ElementTree.SubElement(modules, "module", type=kind, name=name)
    document: bytes = ElementTree.tostring(top, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _with_version(name: str, version: str) -> dict[str, str]:
    return {"name": name, **({"version": version} if version else {})}
