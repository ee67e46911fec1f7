"""Its manifest and its entry points disagree about its id"""

from mtev_kernel import Plugin


class Animal(Plugin):
    """Nothing is wrong with the code."""
