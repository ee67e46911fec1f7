"""Does not like its configuration."""

from mtev_kernel import ConfigurationError, Plugin


class Animal(Plugin):
    """Finds fault with whatever it is given."""

    def configure(self) -> None:
        raise ConfigurationError("<colour> is missing; write <colour>green</colour>", self.context.where)
