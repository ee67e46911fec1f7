"""Loses its files once it is installed, and keeps its metadata"""

from mtev_kernel import Plugin


class Animal(Plugin):
    """Nothing is wrong with the code."""
