"""Asserts something untrue at import."""

assert 1 + 1 == 3, "arithmetic is broken"
