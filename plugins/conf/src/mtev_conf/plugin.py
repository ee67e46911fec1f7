"""The plugin `conf`: opens the document for the kernel, and publishes it to the plugins as a `Configuration`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mtev_kernel.errors import ConfigurationError
from mtev_kernel.plugin import Context, Plugin

from ._configuration import Configuration

if TYPE_CHECKING:
    from mtev_kernel.document import Document

__all__ = ["ConfPlugin"]

_SUPERVISION = {"lockfile", "workingdir"}


class ConfPlugin(Plugin):
    """Provides the configuration, as the kernel's `ConfigurationProvider` and as the service `Configuration`.

    Attributes:
        configuration: what it publishes: one object for the life of the plugin, with the document in force inside.

    Args:
        context: this plugin's view of the kernel.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.configuration = Configuration()
        self._path = ""
        context.services.publish(Configuration, self.configuration)

    def open(self, path: str) -> Document:
        """Read and parse a file, and put it in force. Blocks on the file system.

        Raises:
            ConfigurationError: it is malformed, or uses what is refused; what was in force stays.
            OSError: it cannot be read.
        """
        fresh = Configuration.load(path, notice=self.context.warn)
        self._path = fresh.path
        self.configuration.adopt(fresh)
        for name in sorted(_SUPERVISION & fresh.root.attributes.keys()):
            self.context.warn(
                f"{fresh.root.where}: {name}= has no effect: this process stays in the foreground and where it was "
                "started; leave that to the system's supervisor"
            )
        return fresh.document()

    def reload(self) -> Document:
        """Read the same file again, in the environment as it is now. Blocks on the file system.

        The whole document is checked, `<modules>` included, before it takes the place of the one in force.

        Raises:
            ConfigurationError: as `open`, or nothing has been opened.
            OSError: as `open`.
        """
        if not self._path:
            raise ConfigurationError("there is no configuration to read again: none has been opened")
        fresh = Configuration.load(self._path, notice=self.context.warn)
        document = fresh.document()
        document.modules()
        if fresh.root_name != self.configuration.root_name:
            raise fresh.root.error(
                f"the root element was <{self.configuration.root_name}> before; it names the application and cannot "
                "change while the service runs"
            )
        self.configuration.adopt(fresh)
        return document

    def configure(self) -> None:
        """Refuse options: this plugin has none."""
        if self.context.config:
            raise ConfigurationError(
                f"the plugin 'conf' has no options, but its <config> has {', '.join(sorted(self.context.config))}",
                self.context.where,
            )
