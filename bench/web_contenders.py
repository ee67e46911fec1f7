"""Who takes part in `web.py`: a service of ours and nginx with what they need written for them, and the peers.

Each is a process, or several, on the first processor.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from web_servers import HELLO, OTHERS, SERVERS, item

TICKS_S = os.sysconf("SC_CLK_TCK")
START_S = 30.0
PROCESSORS = os.sched_getaffinity(0)

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
Command = Callable[[Path, int, bool], list[str]]
"""Writes what a server needs into a folder of its own; how to start it on a port, with TLS or without."""


class LeftOut(Exception):
    """A server cannot take part; the reason."""


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
