"""`-c FILE`: run a service in the foreground."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
import time

import anyio

from ..exitcodes import ExitCode
from ..kernel import Kernel
from ..records import Options
from ._arguments import Arguments
from ._logging import to_stderr
from ._signals import Signals
from ._stuck import StuckWatch
from ._terminal import err

__all__ = ["main"]

_LEAVING_S = 2.0
_log = logging.getLogger("mtev.kernel")


def main(arguments: Arguments) -> int:
    """Run a service until it is told to stop. Blocks; needs the main thread."""
    assert arguments.config is not None
    began = time.monotonic()
    to_stderr(debug=arguments.debug)
    faulthandler.enable()
    watch = StuckWatch(_stuck)
    kernel = Kernel(
        arguments.config, options=Options(safe_mode=arguments.safe_mode, strict=arguments.strict), watch=watch
    )

    def ready() -> None:
        running = sum(record.state in ("running", "degraded") for record in kernel.plugins())
        _log.info("ready: %d plugins, %.2f s", running, time.monotonic() - began)

    def stop(signal_name: str) -> None:
        _log.info("%s: draining and stopping; a second one ends the process at once", signal_name)
        kernel.request_stop(signal_name)

    def reload() -> None:
        _log.info("SIGHUP: reading the configuration again")
        kernel.request_reload()

    async def serve() -> ExitCode:
        return await Signals(stop, reload, _die).during(lambda: kernel.run(ready))

    code = anyio.run(serve)
    _log.info("stopped: exit code %d", code)
    # A thread that a plugin left behind would keep the interpreter from ending.
    watch.arm("the end of the process", _LEAVING_S)
    return code


def _die(signal_name: str) -> None:
    _leave(f"a second signal ({signal_name}): leaving at once, without an orderly stop", ExitCode.FAILURE)


def _stuck(culprit: str) -> None:
    lingering = [each.name for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
    threads = f" (threads still there: {', '.join(lingering)})" if lingering else ""
    err(f"mtev-kernel: {culprit} blocks the process beyond its limit{threads}; leaving. What every thread does:")
    faulthandler.dump_traceback(sys.__stderr__, all_threads=True)  # type: ignore[arg-type]  # None only without a console
    _leave("left because a step blocked the process", ExitCode.SOFTWARE)


def _leave(message: str, code: ExitCode) -> None:
    # os._exit skips what an orderly exit does; the reader must still see why.
    os.write(2, f"mtev-kernel: {message}\n".encode())
    os._exit(code)
