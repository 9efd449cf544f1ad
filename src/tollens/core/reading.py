"""The reading: one measured value with its unit, interval, status and matched null. Never a NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

Value: TypeAlias = bool | int | float | str | list[int] | list[float] | list[dict[str, Any]] | dict[str, Any]


class Status(StrEnum):
    """What became of one value; everything but OK carries a reason that `tollens explain` knows."""

    OK = "OK"
    UNDEFINED = "UNDEFINED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Undefined:
    """Returned by a measurement in place of a number that does not exist. `reason` is a code."""

    reason: str


class Interval(msgspec.Struct, frozen=True):
    """Closed interval [low, high] at confidence `level`, in the unit of the reading it belongs to."""

    low: float
    high: float
    level: float
    method: str


class NullBand(msgspec.Struct, frozen=True):
    """What chance alone gives for the same shape: median and 5-95 % band over `draws` draws of `law`."""

    median: float
    low: float
    high: float
    draws: int
    law: str


class Cost(msgspec.Struct, frozen=True):
    """Bytes read and floating-point operations, estimated from shapes alone."""

    bytes: int
    flops: int


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value. `value` is None exactly when `status` is not OK, and then `reason` is set."""

    quantity: str
    value: Value | None = None
    unit: str = "1"
    status: Status = Status.OK
    reason: str | None = None
    interval: Interval | None = None
    null: NullBand | None = None
    n: int | None = None
    flags: tuple[str, ...] = ()
    target: str = ""
    instrument: str = ""
    version: str = ""
    parameters: Mapping[str, Any] = {}
    seed: int | None = None
    cost: Cost | None = None
    scale_invariant: bool = False

    def __post_init__(self) -> None:
        if (self.status is Status.OK) != (self.value is not None):
            raise ValueError(f"{self.quantity}: a value goes with status OK; found {self.value!r}, {self.status}")
        if self.status is not Status.OK and not self.reason:
            raise ValueError(f"{self.quantity}: status {self.status} needs a reason")
        if not _finite(self.value):
            raise ValueError(f"{self.quantity}: a reading is finite; found {self.value!r}")


def _finite(value: Any) -> bool:
    if isinstance(value, float):  # numpy's float64 is one
        return math.isfinite(value)
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return True
    for inner in value:  # a loop with the common case first: some values are lists of hundreds of small objects
        kind = type(inner)
        if kind is float:
            if not math.isfinite(inner):
                return False
        elif kind is not int and not _finite(inner):
            return False
    return True


def reading(quantity: str, value: Any, **fields: Any) -> Reading:
    """`value` may be an `Undefined`; numpy scalars and arrays become plain Python values."""
    if isinstance(value, Undefined):
        fields.setdefault("status", Status.UNDEFINED)
        fields.setdefault("reason", value.reason)
        return Reading(quantity=quantity, value=None, **fields)
    if hasattr(value, "tolist"):
        value = value.tolist()
    return Reading(quantity=quantity, value=value, **fields)
