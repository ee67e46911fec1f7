"""What the configuration costs, in documents of a thousand, a hundred thousand and a million elements.

Usage: python bench/conf.py [--elements 1000 100000 1000000] [--rounds 5]

The peer is plain lxml, doing as little as it can for the same end: parse, an XPath for the inherited attribute, a dict
of a `<config>`'s children, set and rewrite the whole file. Ours and the peer are measured in processes of their own, in
turns for each size, so that memory is their own. Shown are medians, and ratios to the peer where there is one.

The document holds hosts of ten checks each, below `<checks>`; its shattered twin holds the same in a backing store, a
file for each check.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CHECKS_PER_HOST = 10
ELEMENTS_PER_CHECK = 4  # the check, its config, two keys


def document(elements: int) -> str:
    lines = ["<bench>", "  <config><timeout>5</timeout><retries>3</retries></config>", '  <checks period="60">']
    hosts = max(1, elements // (CHECKS_PER_HOST * ELEMENTS_PER_CHECK + 1))
    for host in range(hosts):
        lines.append(f'    <host name="host{host}" address="10.0.{host // 256 % 256}.{host % 256}">')
        lines += [
            f'      <check name="check{check}" port="{8000 + check}"><config>'
            f"<path>/status/{check}</path><code>200</code></config></check>"
            for check in range(CHECKS_PER_HOST)
        ]
        lines.append("    </host>")
    lines += ["  </checks>", "</bench>", ""]
    return "\n".join(lines)


def median_s(rounds: int, function: Callable[[], object], times: int = 1) -> float:
    samples = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(times):
            function()
        samples.append((time.perf_counter() - began) / times)
    return statistics.median(samples)


def rss_mib() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1_048_576


def measure_peer(path: str, rounds: int) -> dict[str, float]:
    from lxml import etree

    before = rss_mib()
    root = etree.parse(path).getroot()
    memory = rss_mib() - before
    last = root.xpath("//check")[-1]
    inherited = etree.XPath("ancestor-or-self::*/@period")

    def change() -> None:
        last.set("port", str(int(last.get("port")) + 1))
        temporary = path + ".tmp"
        with open(temporary, "wb") as file:
            root.getroottree().write(file, encoding="utf-8")
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)

    return {
        "load": median_s(rounds, lambda: etree.parse(path)),
        "inherited get, cold": median_s(rounds, lambda: inherited(last)[-1], 1000),
        "inherited get, cached": median_s(rounds, lambda: inherited(last)[-1], 1000),
        "hash get, cold": median_s(rounds, lambda: {each.tag: each.text for each in last.find("config")}, 1000),
        "hash get, cached": median_s(rounds, lambda: {each.tag: each.text for each in last.find("config")}, 1000),
        "change one value and write": median_s(rounds, change),
        "memory, MiB": memory,
    }


def measure_ours(path: str, rounds: int) -> dict[str, float]:
    from mtev_conf import Configuration

    before = rss_mib()
    configuration = Configuration.load(path)
    memory = rss_mib() - before
    last = configuration.sections("checks//check")[-1]
    number = 0

    def change() -> None:
        nonlocal number
        number += 1
        with configuration.transaction("bench") as transaction:
            transaction.set(last, "port", str(9000 + number))
        configuration.write()

    def cold(function: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            configuration._tree.changed()
            function()

        return run

    figures = {
        "load": median_s(rounds, lambda: Configuration.load(path)),
        "inherited get, cold": median_s(rounds, cold(lambda: last.integer("period")), 1000),
        "inherited get, cached": median_s(rounds, lambda: last.integer("period"), 1000),
        "hash get, cold": median_s(rounds, cold(last.hash), 1000),
        "hash get, cached": median_s(rounds, last.hash, 1000),
    }
    change()  # the first one finds out where everything stands in the file
    return figures | {"change one value and write": median_s(rounds, change), "memory, MiB": memory}


def measure_first_change(path: str) -> dict[str, float]:
    from mtev_conf import Configuration

    configuration = Configuration.load(path)
    last = configuration.sections("checks//check")[-1]
    began = time.perf_counter()
    with configuration.transaction("bench") as transaction:
        transaction.set(last, "port", "1")
    configuration.write()
    return {"first change and write": time.perf_counter() - began}


def shatter(path: str, directory: str) -> None:
    """Write the document's twin with a backing store, through the library itself."""
    from lxml import etree

    from mtev_conf import Configuration

    twin = Path(directory) / "shattered.conf"
    twin.write_text('<bench>\n  <checks period="60" backingstore="store"></checks>\n</bench>\n', encoding="utf-8")
    configuration = Configuration.load(str(twin))
    configuration.leaf(lambda element: element.tag == "check")
    checks = configuration.section("checks")
    assert checks is not None
    hosts = [etree.tostring(host, encoding="unicode") for host in etree.parse(path).getroot().iterfind("checks/host")]
    with configuration.transaction("bench") as transaction:
        for host in hosts:
            transaction.add_xml(checks, host)
    configuration.write()


def measure_shattered(path: str, rounds: int, directory: str) -> dict[str, float]:
    # Made in a process of its own, so that memory is that of reading it.
    twin = str(Path(directory) / "shattered.conf")
    subprocess.run([sys.executable, __file__, "--shatter", path, directory], check=True)
    figures = measure_ours(twin, rounds)
    return {f"shattered: {name}": value for name, value in figures.items() if "get" not in name}


def child(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "bench.conf")
        Path(path).write_text(document(arguments.child), encoding="utf-8")
        if arguments.what == "peer":
            figures = measure_peer(path, arguments.rounds)
        elif arguments.what == "ours":
            figures = measure_ours(path, arguments.rounds)
        elif arguments.what == "first":
            figures = measure_first_change(path)
        else:
            figures = measure_shattered(path, arguments.rounds, directory)
    print(json.dumps(figures))


def run(what: str, elements: int, rounds: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--what", what, "--child", str(elements), "--rounds", str(rounds)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, float] = json.loads(output)
    return figures


def shown(name: str, value: float) -> str:
    if name.endswith("MiB"):
        return f"{value:10.1f} MiB"
    for unit, factor in (("s ", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= factor:
            return f"{value / factor:10.2f} {unit} "
    return f"{value / 1e-9:10.0f} ns "


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elements", type=int, nargs="+", default=[1000, 100_000, 1_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--what", default="ours", help=argparse.SUPPRESS)
    parser.add_argument("--shatter", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.shatter:
        shatter(*arguments.shatter)
        return
    if arguments.child:
        child(arguments)
        return
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} processors")
    for elements in arguments.elements:
        print(f"\n{elements:,} elements{'':30}      ours        plain lxml   ratio")
        peer = run("peer", elements, arguments.rounds)
        ours = run("ours", elements, arguments.rounds) | run("first", elements, 1)
        ours |= run("shattered", elements, arguments.rounds)
        for name, value in ours.items():
            line = f"  {name:34}{shown(name, value)}"
            beside = peer.get(name.removeprefix("shattered: "))
            if beside:
                line += f"  {shown(name, beside)}  {value / beside:6.2f}"
            print(line)


if __name__ == "__main__":
    main()
