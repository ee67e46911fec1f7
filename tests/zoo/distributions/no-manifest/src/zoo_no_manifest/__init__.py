"""Its manifest was left out of the wheel"""

from mtev_kernel import Plugin


class Animal(Plugin):
    """Nothing is wrong with the code."""
