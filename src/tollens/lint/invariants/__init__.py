"""The laws, one file a family. Importing this package registers them all."""

from tollens.lint.invariants import accounting, dependency, queues

__all__ = ["accounting", "dependency", "queues"]
