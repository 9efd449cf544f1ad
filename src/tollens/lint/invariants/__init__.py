"""The laws, one file a family. Importing this package registers them all."""

from tollens.lint.invariants import queues

__all__ = ["queues"]
