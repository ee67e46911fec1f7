"""`schema`: print one schema of whatever the installed plugins take in a configuration."""

from __future__ import annotations

from ..document import SchemaComposer
from ..exitcodes import ExitCode
from ..records import Options
from ._arguments import Arguments
from ._logging import quiet
from ._opened import assembly_for, provider, unable
from ._terminal import out

__all__ = ["main"]


def main(arguments: Arguments) -> int:
    """Print the schema. Of the plugins, only the one that reads configurations is imported."""
    quiet(debug=arguments.debug)
    options = Options()
    assembly = assembly_for(None, options)
    composer = provider(assembly, options)
    if not isinstance(composer, SchemaComposer):
        raise unable(assembly, "compose schemas")
    out(composer.compose_schema([each for each in assembly.found if each.usable], arguments.root).rstrip("\n"))
    return ExitCode.OK
