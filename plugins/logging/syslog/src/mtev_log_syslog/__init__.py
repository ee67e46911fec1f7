"""mtev-log-syslog: log lines for syslog and for the journal of systemd. Enabled by `<log type="syslog">` and
`<log type="journald">`; see the README.
"""

from __future__ import annotations

from .backend import SyslogBackend
from .journald import JournaldBackend

__all__ = ["JournaldBackend", "SyslogBackend"]
