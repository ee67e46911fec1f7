"""Raises when the service is up."""

from mtev_kernel import Plugin


class Animal(Plugin):
    """Its background task does not last."""

    async def run(self) -> None:
        raise ConnectionError("the peer is gone")
