"""One of two that offer the same plugin id"""

from mtev_kernel import Plugin


class Animal(Plugin):
    """Nothing is wrong with the code."""
