"""How many files the process may have open. The policy is a function of three numbers; applying it is one system call.

The limit belongs to the process, not to an eventer; it is raised and never put back. An operator who asks for less than
there is gets less.
"""

from __future__ import annotations

import logging
import resource

__all__ = ["attempts", "raise_limit"]


def attempts(wanted: int | None, soft: int, hard: int) -> list[tuple[int, int]]:
    """The limits to try to set, best first: (soft, hard) each.

    Beyond the hard limit only a privileged process gets anything; it is asked for in halves of what is wanted, as
    libmtev does, and in the end for the hard limit itself.

    Args:
        wanted: how many the operator asks for; None for all that there is to have without privilege.
        soft: the limit in force, `resource.RLIM_INFINITY` for none.
        hard: how far it may be raised; likewise.
    """
    if wanted is None:
        return [] if soft == hard else [(hard, hard)]
    if hard == resource.RLIM_INFINITY or wanted <= hard:
        return [] if soft == wanted else [(wanted, hard)]
    steps = []
    step = wanted
    while step > hard:
        steps.append((step, step))
        step //= 2
    return [*steps, (hard, hard)]


def raise_limit(wanted: int | None, log: logging.Logger) -> int:
    """Set the limit of this process, and say what came of it.

    Returns:
        The soft limit in force afterwards.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for attempt in attempts(wanted, soft, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, attempt)
        except (ValueError, OSError) as error:
            log.debug("limit of open files: %d refused (%s)", attempt[0], error)
            continue
        soft = attempt[0]
        break
    if wanted is not None and soft not in (wanted, resource.RLIM_INFINITY):
        log.warning("rlim_nofiles asks for %d open files; the system allows %d", wanted, soft)
    else:
        log.debug("limit of open files: %d", soft)
    return soft
