"""`sample-config`: print a commented configuration made of the samples that plugins bring along."""

from __future__ import annotations

from ..document import SampleComposer
from ..exitcodes import ExitCode
from ..records import Options
from ._arguments import Arguments
from ._logging import quiet
from ._opened import assembly_for, chosen, provider, unable
from ._terminal import out

__all__ = ["main"]


def main(arguments: Arguments) -> int:
    """Print the samples. Of the plugins, only the one that reads configurations is imported."""
    quiet(debug=arguments.debug)
    options = Options()
    assembly = assembly_for(None, options)
    offers = chosen(assembly.found, arguments.plugins)
    composer = provider(assembly, options)
    if not isinstance(composer, SampleComposer):
        raise unable(assembly, "compose samples")
    out(composer.compose_samples(offers).rstrip("\n"))
    return ExitCode.OK
