"""What connections cost: memory of those that are idle, and processor time of those that come and go.

Usage: python bench/connections.py [--tls] [--idle 5000] [--short 2000] [--rounds 5]

The servers are those of `echo.py`, each in a process of its own on the first processor. Memory is the growth of the
proportional set size from no connection to so many, each of which has said something once. Coming and going is a
connection, one echo, and the end, one after the other from one client; what counts is the server's processor time for
each, as a ratio to a bare protocol on uvloop, taken round by round.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import time
from pathlib import Path

from echo import Server, connect, running_servers, warm_up

SPARE = 200


def pss_kib(server: Server) -> int:
    """The proportional set size of a server's process."""
    for line in Path(f"/proc/{server.process.pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise LookupError("the system does not tell the Pss")


def memory_kib(server: Server, tls: str, count: int) -> float:
    """KiB of an idle connection."""
    server.go_on()
    warm = connect(server.port, tls)
    warm_up(warm, b"hello")
    before = pss_kib(server)
    clients = []
    for _ in range(count):
        clients.append(connect(server.port, tls))
        if tls:
            warm_up(clients[-1], b"hello")
    if not tls:
        for client in clients:
            warm_up(client, b"hello")
    time.sleep(0.5)
    grown = pss_kib(server) - before
    for client in (*clients, warm):
        client.close()
    time.sleep(0.5)
    server.stop()
    return grown / count


def coming_and_going(server: Server, tls: str, count: int) -> tuple[float, float]:
    """Connections a second, and microseconds of the server's processor time for each."""
    server.go_on()
    began_cpu_s, began_s = server.cpu_s(), time.perf_counter()
    for _ in range(count):
        client = connect(server.port, tls)
        warm_up(client, b"hello")
        client.close()
    took_s = time.perf_counter() - began_s
    time.sleep(0.1)
    cost_s = server.cpu_s() - began_cpu_s
    server.stop()
    return count / took_s, cost_s / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--idle", type=int, default=5000)
    parser.add_argument("--short", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    wanted = options.idle + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    with running_servers(secured=options.tls) as (servers, tls):
        rounds = [
            {each.name: coming_and_going(each, tls, options.short) for each in servers} for _ in range(options.rounds)
        ]
        sizes = {each.name: memory_kib(each, tls, options.idle) for each in servers}
    what = "TLS" if options.tls else "TCP"
    print(
        f"Python {platform.python_version()}, {what}, {options.rounds} rounds of {options.short}, {options.idle} idle"
    )
    print(f"{'server':28} {'conn/s':>8} {'CPU us':>8} {'of uvloop':>10} {'KiB idle':>9} {'of uvloop':>10}")
    for server in servers:
        speeds, costs = zip(*(each[server.name] for each in rounds), strict=True)
        dearer = statistics.median(each[server.name][1] / each["uvloop"][1] for each in rounds)
        size = sizes[server.name]
        print(
            f"{server.name:28} {statistics.median(speeds):8,.0f} {statistics.median(costs):8.0f} {dearer:10.2f} "
            f"{size:9.2f} {size / sizes['uvloop']:10.2f}"
        )


if __name__ == "__main__":
    main()
