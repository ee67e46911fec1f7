"""Ends the process at start."""

import sys

from mtev_kernel import Plugin


class Animal(Plugin):
    """Takes itself for the whole program."""

    async def start(self) -> None:
        sys.exit("nothing to do here")
