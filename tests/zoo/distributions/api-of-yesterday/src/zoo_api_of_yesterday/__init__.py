"""Was written for a plugin API that is gone"""

from mtev_kernel import Plugin


class Animal(Plugin):
    """Nothing is wrong with the code."""
