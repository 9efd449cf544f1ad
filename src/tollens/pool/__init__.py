"""Where work runs: one injected map with three ways behind it: serial (core/work.py), processes, a Dask cluster."""

from tollens.pool.local import processes

__all__ = ["processes"]
