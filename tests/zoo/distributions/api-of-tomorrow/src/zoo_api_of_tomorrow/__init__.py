"""Needs a plugin API that does not exist yet"""

from mtev_kernel import Plugin


class Animal(Plugin):
    """Nothing is wrong with the code."""
