"""The conformance suite for instruments: `check_instrument(my_instrument)` returns what it found wanting."""

from tollens.run.testing import Failure, check_instrument, part_of

__all__ = ["Failure", "check_instrument", "part_of"]
