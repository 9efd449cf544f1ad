"""The laws, one file a family. Importing this package registers them all."""

from tollens.lint.invariants import accounting, dependency, intervals, queues, statistics

__all__ = ["accounting", "dependency", "intervals", "queues", "statistics"]
