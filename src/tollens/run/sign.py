"""The sign-check, run where the metric runs: its own code on arms whose quality is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from tollens.core.errors import TollensError
from tollens.instrument.registry import INSTRUMENTS
from tollens.protocol.sign_check import Measurements, SignSpec, judge, refusal
from tollens.protocol.study import Study, refused
from tollens.run.metric_process import Limits, MetricProcess

SECONDS, MEBIBYTES = 120.0, 4096
SEED = 0


def sign_checked(folder: Path, study: Study) -> tuple[dict[str, Any], str]:
    """The report of the sign-check and its one line. Raises TollensError, exit 3, for anything but SIGN OK."""
    if study.metric.instrument is not None:
        return _instrument(study)
    assert study.metric.file is not None
    assert study.sign_check is not None
    spec = SignSpec(
        quantity=study.claim.quantity,
        direction=study.claim.direction,
        margin=study.sign_check.margin,
        null_value=study.sign_check.null_value,
        tolerance=study.sign_check.tolerance,
        value=study.claim.value,
    )
    with MetricProcess(folder, study.metric.file, limits=Limits(SECONDS, MEBIBYTES)) as process:
        described = process.describe()
        absent = [name for name in ("produce", "metric", study.null.generator) if name not in described.functions]
        if absent:
            raise refused(
                "metric_incomplete", study.metric.file, "produce, metric, the null generator and ARMS",
                f"no {', '.join(absent)}", f"Define {absent[0]} in {study.metric.file}.",
            )  # fmt: skip
        found = process.call("tollens.protocol.sign_check:measure_module", msgspec.to_builtins(spec) | {"seed": SEED})
    report = judge(msgspec.convert(found, Measurements), spec)
    error = refusal(report)
    if error is not None:
        raise error
    return msgspec.to_builtins(report), report.sentence


def _instrument(study: Study) -> tuple[dict[str, Any], str]:
    """An instrument brings its arms: its known answers, asked on this machine."""
    from tollens.run.rungs.weights import refusals_of

    name = str(study.metric.instrument).rpartition(".")[2]
    made = INSTRUMENTS.get(name) or next((i for i in INSTRUMENTS.values() if name in i.quantities), None)
    if made is None or study.claim.quantity.partition("_interval")[0] not in made.quantities:
        raise refused(
            "study_field", "metric.instrument", f"an instrument that reads {study.claim.quantity}",
            repr(study.metric.instrument), f"One of {', '.join(_readers(study.claim.quantity)) or 'none'}.",
        )  # fmt: skip
    failing = refusals_of()
    if made.name in failing:
        raise refused("answers_fail", f"instrument {made.name}", "its known answers", failing[made.name], "Run selftest.")
    answers = [answer.title for answer in made.known_answers]
    sentence = f"SIGN OK  {made.name} {made.version} gives its {len(answers)} known answers on this machine"
    return {"instrument": made.name, "version": made.version, "answers": answers}, sentence


def _readers(quantity: str) -> list[str]:
    return sorted(made.name for made in INSTRUMENTS.values() if quantity in made.quantities)


__all__ = ["TollensError", "sign_checked"]
