"""The laws, one file a family. Importing this package registers them all."""

from tollens.lint.invariants import (
    accounting,
    ceilings,
    dependency,
    fits,
    information,
    intervals,
    optimisation,
    queues,
    sizes,
    statistics,
)

__all__ = [
    "accounting",
    "ceilings",
    "dependency",
    "fits",
    "information",
    "intervals",
    "optimisation",
    "queues",
    "sizes",
    "statistics",
]
