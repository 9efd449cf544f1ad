"""The compiled kernels, under one import. Their types are in `tollens/_native.pyi`."""

from __future__ import annotations

from tollens import _native

__all__ = ["_native"]
