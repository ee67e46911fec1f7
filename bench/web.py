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
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from web_servers import HELLO, OTHERS, SERVERS, item

TICKS_S = os.sysconf("SC_CLK_TCK")
PATHS = {"hello": "/hello", "items": "/api/items/42"}
CONNECTIONS = 32
NOISE = 0.15  # of a processor, taken by others
START_S = 30.0

PLUGIN = f"""
from mtev_http import Rest, json_response, text_response
from mtev_kernel import Plugin

class BenchPlugin(Plugin):
    def start(self):
        rest = self.context.services.require(Rest)
        rest.add("GET", "/", "^hello$", self.hello, summary="Says hello")
        for name in {[*OTHERS, "items"]!r}:
            rest.add("GET", "/api/", rf"^{{name}}/(\\d+)$", self.item, summary="An item")

    async def hello(self, request):
        return text_response({HELLO!r})

    async def item(self, request):
        (number,) = request.captures
        return json_response({{"id": int(number), "name": f"item {{number}}", "tags": ["a", "b", "c"], "price": 12.5}})
"""
MANIFEST = """
id = "bench_web"
summary = "Answers what bench/web.py asks."
api = "1.0"
requires = ["http"]
status = "stable"
security = "none; for measuring"
"""
METADATA = "Metadata-Version: 2.1\nName: mtev-bench-web\nVersion: 0\n"
ENTRY_POINTS = """
[mtev.manifests]
bench_web = mtev_bench_web:plugin.toml
[mtev.plugins]
bench_web = mtev_bench_web.plugin:BenchPlugin
"""
CONFIG = """<?xml version="1.0" encoding="utf-8"?>
<bench>
  <eventer><config><concurrency>1</concurrency></config></eventer>
  <logs>{log}</logs>
  <modules><generic image="bench_web" name="bench_web"/></modules>
  <listeners address="127.0.0.1">
    <config><acl>bench</acl></config>{certificates}
    <listener type="http_rest_api" port="{port}" ssl="{ssl}"/>
  </listeners>
  <stats/>
  <rest engine="{engine}">
    <acl listener_acl="^bench$"><rule type="allow" ip="127.0.0.0/8"/></acl>
  </rest>
</bench>
"""
ACCESS_LOG = '<log name="http/access" type="file" path="{folder}/access.log"/>'
CERTIFICATES = """
    <sslconfig><certificate>{folder}/cert.pem</certificate><key>{folder}/key.pem</key></sslconfig>"""
NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 16384; }}
http {{
  access_log {log}; keepalive_requests 1000000000; keepalive_timeout 75;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port} {ssl} backlog=1024;
    location = /hello {{ default_type text/plain; return 200 "{hello}"; }}
    {others}
    location ~ ^/api/items/(?<number>\\d+)$ {{ default_type application/json; return 200 '{item}'; }}
  }}
}}
"""
REPORT = """
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format('{"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"errors":%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""

Command = Callable[[Path, int, bool], list[str]]
"""Writes what a server needs into a folder of its own; how to start it on a port, with TLS or without."""


class LeftOut(Exception):
    """A server cannot take part; the reason."""


# Servers


def ours(engine: str, *, log: bool) -> Command:
    """A service with a configuration file, and a plugin in a distribution of its own."""

    def command(folder: Path, port: int, tls: bool) -> list[str]:
        package, metadata = folder / "site/mtev_bench_web", folder / "site/mtev_bench_web-0.dist-info"
        package.mkdir(parents=True)
        metadata.mkdir()
        (package / "__init__.py").write_text("", encoding="utf-8")
        (package / "plugin.py").write_text(PLUGIN, encoding="utf-8")
        (package / "plugin.toml").write_text(MANIFEST, encoding="utf-8")
        (metadata / "METADATA").write_text(METADATA, encoding="utf-8")
        (metadata / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
        config = folder / "bench.conf"
        settings = {
            "engine": engine,
            "port": port,
            "log": ACCESS_LOG.format(folder=folder) if log else "",
            "ssl": "on" if tls else "off",
            "certificates": CERTIFICATES.format(folder=folder) if tls else "",
        }
        config.write_text(CONFIG.format(**settings), encoding="utf-8")
        kernel = Path(sys.executable).with_name("mtev-kernel")
        if not kernel.exists():
            raise LeftOut("there is no mtev-kernel beside this Python; install the workspace")
        return ["env", f"PYTHONPATH={folder / 'site'}", str(kernel), "-c", str(config)]

    return command


def peer(name: str) -> Command:
    """One of `web_servers.py`."""

    def command(folder: Path, port: int, tls: bool) -> list[str]:
        script = Path(__file__).with_name("web_servers.py")
        return [sys.executable, str(script), name, str(port), str(folder), *(["--tls"] if tls else [])]

    return command


def nginx(folder: Path, port: int, tls: bool, *, log: bool = False) -> list[str]:
    """nginx, as the limit."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        raise LeftOut("it is not installed")
    settings = {
        "folder": folder,
        "port": port,
        "hello": HELLO,
        "log": f"{folder}/access.log" if log else "off",
        "ssl": f"ssl; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem; #" if tls else "",
        "others": "\n    ".join(f"location ~ ^/api/{name}/(\\d+)$ {{ return 200; }}" for name in OTHERS),
        "item": json.dumps(item(42)).replace("42", "$number"),
    }
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(**settings), encoding="utf-8")
    return [found, "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]


def contenders(engines: list[str]) -> dict[str, Command]:
    """Every server by its name."""
    found: dict[str, Command] = {}
    for engine in engines:
        found[f"ours-{engine}"] = ours(engine, log=False)
        found[f"ours-{engine}-log"] = ours(engine, log=True)
    found |= {name: peer(name) for name in SERVERS}
    return found | {"nginx": nginx}


def chosen(known: dict[str, Command], names: str) -> dict[str, Command]:
    """Those of the names; `ours` means each of ours."""
    if not names:
        return known
    picked: dict[str, Command] = {}
    for name in names.split(","):
        own = {each: command for each, command in known.items() if name == "ours" and each.startswith("ours-")}
        if not own and name not in known:
            raise SystemExit(f"there is no server {name}; expected some of: ours, {', '.join(known)}")
        picked |= own or {name: known[name]}
    return picked


class Server:
    """One server, with all of its processes, on the first processor.

    Raises:
        LeftOut: it does not start, or answers something else.
    """

    def __init__(self, name: str, command: Command, tls: Path | None) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix="bench-web-"))
        self.port = free_port()
        self.tls = tls is not None
        for file in tls.iterdir() if tls is not None else ():
            shutil.copy(file, self.folder)
        self.process: subprocess.Popen[bytes] | None = None
        try:
            line = command(self.folder, self.port, self.tls)
            self.output = self.folder / "output"
            began = time.perf_counter()
            with self.output.open("wb") as output:
                self.process = subprocess.Popen(
                    line,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=self.folder,
                    start_new_session=True,
                    preexec_fn=lambda: os.sched_setaffinity(0, {min(PROCESSORS)}),  # noqa: PLW1509  # there is one thread
                )
            self.start_s = self._until_it_answers(began)
            self._check()
        except BaseException:
            self.kill()
            raise

    def _until_it_answers(self, began: float) -> float:
        while time.perf_counter() - began < START_S:
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.ask("/hello")
                return time.perf_counter() - began
            if self.process is not None and self.process.poll() is not None:
                break
            time.sleep(0.002)
        lines = self.output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        telling = [line for line in lines if "rror" in line] or lines
        raise LeftOut(telling[-1][:300] if telling else "it did not come up")

    def ask(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        if self.tls:
            context = ssl._create_unverified_context()  # the certificate is our own
            client: http.client.HTTPConnection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=5, context=context
            )
        else:
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(client):
            client.request("GET", path)
            response = client.getresponse()
            return response.status, response.read()

    def _check(self) -> None:
        for path, expected in (("/hello", HELLO), ("/api/items/42", item(42))):
            status, body = self.ask(path)
            found: object = body.decode(errors="replace")
            if expected != HELLO:
                with contextlib.suppress(ValueError):
                    found = json.loads(body)
            if status != 200 or found != expected:
                raise LeftOut(f"it answers {status} {body[:60]!r} to {path}")

    def members(self) -> list[int]:
        """Its processes: those of its session."""
        assert self.process is not None
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError, IndexError):
                    if int(_stat(int(entry.name))[3]) == self.process.pid:
                        found.append(int(entry.name))
        return found

    def signal(self, number: signal.Signals) -> None:
        for member in self.members():
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, number)

    def stop(self) -> None:
        self.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Continue, and answer something."""
        self.signal(signal.SIGCONT)
        self.ask("/hello")

    def cpu_s(self) -> float:
        total = 0
        for member in self.members():
            with contextlib.suppress(OSError):
                fields = _stat(member)
                total += int(fields[11]) + int(fields[12])
        return total / TICKS_S

    def settled_cpu_s(self) -> float:
        """The same, once it rests: what was put off, such as writing a log, belongs to the requests too."""
        before, until = self.cpu_s(), time.perf_counter() + 2
        while True:
            time.sleep(0.05)
            now = self.cpu_s()
            if now - before < 0.005 or time.perf_counter() > until:
                return now
            before = now

    def pss_kib(self) -> int:
        """Proportional memory of all of its processes."""
        total = 0
        for member in self.members():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{member}/smaps_rollup").read_text(encoding="ascii").splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        return total

    def kill(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def _stat(process: int) -> list[str]:
    """What `/proc` says of a process, from its state on."""
    return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# Measuring


@dataclass
class Sample:
    """One run of wrk."""

    rate: float
    p50_us: float
    p99_us: float
    cpu_us: float
    requests: int
    noise: float


@dataclass
class Figures:
    """What was found out about one server."""

    rounds: dict[str, list[Sample | None]] = field(default_factory=dict)
    idle_mib: float | None = None
    connection_kib: dict[int, float] = field(default_factory=dict)
    start_ms: list[float] = field(default_factory=list)
    log_lines: int | None = None
    trouble: list[str] = field(default_factory=list)


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


# Reporting


def clean(samples: list[Sample | None]) -> list[Sample]:
    """Those that nobody disturbed, if there are three."""
    taken = [each for each in samples if each is not None]
    quiet = [each for each in taken if each.noise <= NOISE]
    return quiet if len(quiet) >= 3 else taken


def table(figures: dict[str, Figures], options: argparse.Namespace) -> None:
    for path in options.paths if options.rounds else ():
        print(f"\nGET {PATHS[path]}")
        print(f"{'server':22} {'req/s':>8} {'of app':>7} {'p50 us':>7} {'p99 us':>7} {'CPU us':>7} {'of app':>7}")
        for name, found in figures.items():
            samples = clean(found.rounds.get(path, []))
            if not samples:
                print(f"{name:22} no figures")
                continue
            rate, p50, p99, cpu = (
                statistics.median(getattr(each, column) for each in samples)
                for column in ("rate", "p50_us", "p99_us", "cpu_us")
            )
            faster, dearer = (compared(figures, name, "aiohttp-app", path, column) for column in ("rate", "cpu_us"))
            print(f"{name:22} {rate:8,.0f} {_shown(faster)} {p50:7.0f} {p99:7.0f} {cpu:7.1f} {_shown(dearer)}")
    counts = options.connections
    if options.memory or options.startup:
        columns = "".join(f"{f'KiB at {count}':>13}" for count in counts)
        print(f"\n{'server':22} {'idle MiB':>9}{columns} {'start ms':>9}")
        for name, found in figures.items():
            idle = f"{found.idle_mib:9.1f}" if found.idle_mib is not None else f"{'-':>9}"
            each = "".join(
                f"{found.connection_kib[count]:13.1f}" if count in found.connection_kib else f"{'-':>13}"
                for count in counts
            )
            start = f"{statistics.median(found.start_ms):9.0f}" if found.start_ms else f"{'-':>9}"
            print(f"{name:22} {idle}{each} {start}")


def _shown(ratio: float | None) -> str:
    return f"{'-':>7}" if ratio is None else f"{ratio:7.2f}"


def compared(figures: dict[str, Figures], name: str, other: str, path: str, column: str) -> float | None:
    """The median of one server's figure to another's, round by round; None where one has none."""
    if name not in figures or other not in figures:
        return None
    pairs = [
        (own, theirs)
        for own, theirs in zip(figures[name].rounds.get(path, []), figures[other].rounds.get(path, []), strict=False)
        if own is not None and theirs is not None
    ]
    quiet = [pair for pair in pairs if max(each.noise for each in pair) <= NOISE]
    pairs = quiet if len(quiet) >= 3 else pairs
    return statistics.median(getattr(own, column) / getattr(theirs, column) for own, theirs in pairs) if pairs else None


def ratios(figures: dict[str, Figures], options: argparse.Namespace) -> None:
    """What the issues ask for. Nothing is asserted: it says what is met and what is not."""
    print(f"\n{'ratio':46} {'req/s':>7} {'CPU':>7}  goal for req/s")
    for engine, path in itertools.product(options.engines, options.paths):
        own, on_aiohttp = f"ours-{engine}", engine == "aiohttp"
        for other, goal in (
            ("aiohttp-server", 0.9 if on_aiohttp else None),
            ("aiohttp-app", None if on_aiohttp else 2.5),
            ("granian-rsgi", None if on_aiohttp else 1.25),
            ("nginx", None),
        ):
            _line(figures, own, other, path, goal)
        _line(figures, f"{own}-log", own, path, 0.9)
        for other in ("aiohttp-server", "aiohttp-app", "starlette"):
            _line(figures, f"{other}-log", other, path, None)
    for engine in options.engines:
        goal = None if engine == "aiohttp" else 0.5
        ours_found, theirs = figures.get(f"ours-{engine}"), figures.get("aiohttp-app")
        if ours_found is None or theirs is None:
            continue
        for count in options.connections:
            if count in ours_found.connection_kib and theirs.connection_kib.get(count):
                ratio = ours_found.connection_kib[count] / theirs.connection_kib[count]
                _at_most(f"ours-{engine} / aiohttp-app, memory at {count}", ratio, goal)
        if ours_found.start_ms and theirs.start_ms:
            pairs = zip(ours_found.start_ms, theirs.start_ms, strict=False)  # one may have failed once
            ratio = statistics.median(own / their for own, their in pairs)
            _at_most(f"ours-{engine} / aiohttp-app, start", ratio, goal)


def _line(figures: dict[str, Figures], name: str, other: str, path: str, goal: float | None) -> None:
    rate, cpu = (compared(figures, name, other, path, column) for column in ("rate", "cpu_us"))
    if rate is not None:
        verdict = "" if goal is None else f"at least {goal}: {'met' if rate >= goal else 'missed'}"
        print(f"{f'{name} / {other}, {path}':46} {_shown(rate)} {_shown(cpu)}  {verdict}")


def _at_most(what: str, ratio: float, goal: float | None) -> None:
    verdict = "" if goal is None else f"at most {goal}: {'met' if ratio <= goal else 'missed'}"
    print(f"{what:46} {_shown(ratio)} {'':7}  {verdict}")


def troubles(figures: dict[str, Figures]) -> None:
    print()
    for name, found in figures.items():
        for line in found.trouble:
            print(f"{name}: {line}")
        samples = [each for rounds in found.rounds.values() for each in rounds if each is not None]
        asked = sum(each.requests for each in samples)
        if found.log_lines is not None and found.log_lines < asked:
            print(f"{name}: its access log has {found.log_lines} lines, and there were {asked} requests or more")
    noise = [
        each.noise
        for found in figures.values()
        for rounds in found.rounds.values()
        for each in rounds
        if each is not None
    ]
    if noise:
        over = sum(each > NOISE for each in noise)
        print(
            f"others took {statistics.median(noise):.0%} of a processor (median; at most {max(noise):.0%}); {over} of "
            f"{len(noise)} samples had more than {NOISE:.0%}"
        )


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


PROCESSORS = os.sched_getaffinity(0)


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
