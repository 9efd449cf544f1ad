"""The laws, one file a family. Importing this package registers them all."""

from tollens.lint.invariants import ceilings, fits, information, optimisation, queues, sizes

__all__ = ["ceilings", "fits", "information", "optimisation", "queues", "sizes"]
