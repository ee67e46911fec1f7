"""Imports a module that is not there."""

import a_module_that_nobody_has

__all__ = ["a_module_that_nobody_has"]
