"""Requires the hen"""

from mtev_kernel import Plugin


class Animal(Plugin):
    """Nothing is wrong with the code."""
