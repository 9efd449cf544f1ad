"""The rung that runs the study's own metric, in a process of its own with limits of time and memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tollens.protocol.registration import Cell
from tollens.protocol.rung import Arm, Attack, Measured, Opening, Request, RungKind, rung_kind
from tollens.run.metric_process import Limits, MetricProcess


@contextmanager
def opened(opening: Opening) -> Iterator[Attack]:
    """The metric in a child; every request is a process of its own, so that nothing is carried from cell to cell."""
    study = opening.registration.study
    assert study.metric.file is not None
    names = tuple(opening.registration.domains)
    limits = Limits(opening.rung.seconds, opening.rung.mebibytes)
    with MetricProcess(opening.folder, study.metric.file, limits=limits) as process:

        def measure(arm: Arm, cell: Cell) -> Measured:
            return Measured(process.measure(arm.name, dict(cell.axes), cell.seed, draw=arm.draw, names=names))

        yield measure


def request(opening: Opening) -> Request:
    """Nobody knows what foreign code costs before it has run."""
    return Request(None, "unknown: write est_seconds in the rung")


CPU = rung_kind(RungKind(name="cpu", version="1", judges="claim", open=opened, request=request, traps=(), arms=None))
