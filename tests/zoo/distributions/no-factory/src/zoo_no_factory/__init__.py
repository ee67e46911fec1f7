"""Has a manifest and no entry point for its factory"""

from mtev_kernel import Plugin


class Animal(Plugin):
    """Nothing is wrong with the code."""
