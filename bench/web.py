"""HTTP: a whole service of ours beside aiohttp, uvicorn, granian, other frameworks, and nginx as the limit.

Usage: python bench/web.py [--engines aiohttp] [--servers ours,aiohttp-server,nginx] [--paths hello,items] [--rounds 5]
       [--seconds 2] [--tls] [--no-memory] [--no-startup] [--json FILE]

Ours is `mtev-kernel -c FILE` with a plugin that is found as a stranger's would be: listener, access control,
statistics, hooks, routes; and once more with an access log in a file. Load comes from wrk (`apt install wrk`), one
thread, 32 connections. Every server has the first processor, and is stopped (SIGSTOP) while another is measured; wrk
has the second. Ratios are taken round by round; the median counts. The processor time that a server (with all of its
processes) takes for a request is the steadiest column: it does not depend on how fast wrk is. A sample during which
others took much of the machine is left out where three better ones remain. What is not installed is left out, with a
sentence.

The module is not called `http`: scripts have their folder on the path, and the standard library has one of that name.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import os
import platform
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from web_contenders import PROCESSORS, TICKS_S, Command, LeftOut, Server, chosen, contenders
from web_report import PATHS, Figures, Sample, ratios, table, troubles
from web_servers import HELLO

CONNECTIONS = 32
REPORT = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


def busy_s() -> float:
    """Processor time of the whole machine that was not idle."""
    fields = [int(each) for each in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS_S


def own_s() -> float:
    """What this process and wrk took."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def wrk(server: Server, path: str, script: Path, seconds: int) -> dict[str, int]:
    """A run of wrk.

    Raises:
        LeftOut: there were errors.
    """
    url = f"{'https' if server.tls else 'http'}://127.0.0.1:{server.port}{path}"
    line = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), url]
    done = subprocess.run(line, capture_output=True, text=True, timeout=seconds + 30, check=False)
    if done.returncode:
        raise LeftOut(f"wrk: {(done.stderr or done.stdout).strip()[-200:]}")
    found: dict[str, int] = json.loads(done.stdout.strip().splitlines()[-1])
    if found["errors"] or not found["requests"]:
        raise LeftOut(f"wrk: {found['errors']} errors in {found['requests']} requests")
    return found


def measure(server: Server, path: str, script: Path, seconds: int) -> Sample:
    server.go_on()
    try:
        busy, own, cpu, began = busy_s(), own_s(), server.cpu_s(), time.perf_counter()
        found = wrk(server, path, script, seconds)
        others_s = busy_s() - busy - (own_s() - own) - (server.cpu_s() - cpu)
        noise = max(others_s, 0.0) / (time.perf_counter() - began)
        cpu_us = (server.settled_cpu_s() - cpu) / found["requests"] * 1e6
    finally:
        server.stop()
    rate = found["requests"] / found["duration_us"] * 1e6
    return Sample(rate, found["p50_us"], found["p99_us"], cpu_us, found["requests"], noise)


def memory(server: Server, counts: list[int], figures: Figures) -> None:
    """What connections cost that have had one response each and are kept open."""
    clients: list[socket.socket] = []
    request = b"GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    context = ssl._create_unverified_context() if server.tls else None  # the certificate is our own
    server.go_on()
    try:
        for _ in range(200):
            server.ask("/hello")
        before = server.pss_kib()
        figures.idle_mib = before / 1024
        for count in counts:
            while len(clients) < count:
                client = socket.create_connection(("127.0.0.1", server.port), timeout=10)
                clients.append(client)
                if context is not None:
                    client = clients[-1] = context.wrap_socket(client)
                client.sendall(request)
                answer = b""
                while HELLO.encode() not in answer:
                    piece = client.recv(4096)
                    if not piece:
                        raise ConnectionError(f"connection {len(clients)} was closed")
                    answer += piece
            time.sleep(0.2)
            figures.connection_kib[count] = (server.pss_kib() - before) / count
    except OSError as error:
        figures.trouble.append(f"memory: {error or type(error).__name__}")
    finally:
        for client in clients:
            client.close()
        server.stop()


@contextlib.contextmanager
def running(known: dict[str, Command], tls: Path | None) -> Iterator[dict[str, Server]]:
    """Every server that can be started, stopped for the time being."""
    with contextlib.ExitStack() as stack:
        servers = {}
        for name, command in known.items():
            try:
                server = Server(name, command, tls)
            except (LeftOut, OSError, http.client.HTTPException) as reason:
                print(f"{name}: left out ({reason})", flush=True)
                continue
            stack.callback(server.kill)
            server.stop()
            servers[name] = server
        yield servers


def throughput(servers: dict[str, Server], figures: dict[str, Figures], options: argparse.Namespace) -> None:
    """Every server and path, round by round."""
    with tempfile.TemporaryDirectory() as directory:
        script = Path(directory, "report.lua")
        script.write_text(REPORT, encoding="utf-8")
        for turn, path, (name, server) in itertools.product(range(options.rounds), options.paths, servers.items()):
            sample = None
            try:
                if turn == 0:
                    measure(server, PATHS[path], script, 1)  # what is done the first time is not what is measured
                sample = measure(server, PATHS[path], script, options.seconds)
            except (LeftOut, OSError, http.client.HTTPException, subprocess.SubprocessError) as error:
                figures[name].trouble.append(f"round {turn + 1}, {path}: {error or type(error).__name__}")
            figures[name].rounds.setdefault(path, []).append(sample)
    for name, server in servers.items():
        access_log = server.folder / "access.log"
        if name.endswith("-log"):
            with contextlib.suppress(OSError), access_log.open("rb") as file:
                figures[name].log_lines = sum(1 for _ in file)


def startup(known: dict[str, Command], figures: dict[str, Figures], rounds: int, tls: Path | None) -> None:
    """From the start of the process to its first response."""
    for _, (name, command) in itertools.product(range(rounds), known.items()):
        try:
            server = Server(name, command, tls)
        except (LeftOut, OSError, http.client.HTTPException) as reason:
            figures[name].trouble.append(f"start: {reason}")
            continue
        figures[name].start_ms.append(server.start_s * 1000)
        server.kill()


def certificates(directory: Path) -> None:
    import trustme

    certificate = trustme.CA().issue_cert("localhost", "127.0.0.1")
    (directory / "key.pem").write_bytes(certificate.private_key_pem.bytes())
    (directory / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))


def names_of(text: str) -> list[str]:
    return [each for each in text.split(",") if each]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=names_of, default=["aiohttp"], help="of ours, <rest engine=>")
    parser.add_argument("--servers", default="", help=f"some of: ours, {', '.join(contenders(['aiohttp']))}")
    parser.add_argument("--paths", type=names_of, default=list(PATHS), help=f"some of: {', '.join(PATHS)}")
    parser.add_argument("--rounds", type=int, default=5, help="0 for no throughput")
    parser.add_argument("--seconds", type=int, default=2, help="of each run of wrk, which knows whole ones only")
    parser.add_argument("--tls", action="store_true", help="HTTPS; needs trustme")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--connections", type=lambda text: [int(each) for each in names_of(text)], default=[1000, 3000])
    parser.add_argument("--startup", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there too")
    options = parser.parse_args()
    for path in options.paths:
        if path not in PATHS:
            parser.error(f"there is no path {path}; expected some of: {', '.join(PATHS)}")
    if options.rounds and shutil.which("wrk") is None:
        parser.error("wrk is not installed; on Debian: apt install wrk; or leave throughput out with --rounds 0")
    return options


def interrupted(number: int, frame: object) -> None:
    raise SystemExit(128 + number)  # so that every server is killed on the way out


def main() -> None:
    options = arguments()
    known = chosen(contenders(options.engines), options.servers)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {max(PROCESSORS)})
    with contextlib.ExitStack() as stack:
        tls = None
        if options.tls:
            tls = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            certificates(tls)
        with running(known, tls) as servers:
            figures = {name: Figures() for name in servers}
            if options.memory:
                for name, server in servers.items():
                    memory(server, options.connections, figures[name])
            throughput(servers, figures, options)
            known = {name: known[name] for name in servers}
        if options.startup:
            startup(known, figures, options.starts, tls)
    setting = f"wrk -t1 -c{CONNECTIONS}, {options.rounds} rounds of {options.seconds} s"
    print(f"Python {platform.python_version()}, {'HTTPS' if options.tls else 'HTTP'}, {setting}")
    table(figures, options)
    ratios(figures, options)
    troubles(figures)
    if options.json:
        found = {name: asdict(each) for name, each in figures.items()}
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
