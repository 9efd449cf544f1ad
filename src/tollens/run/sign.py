"""The sign-check, run where the metric runs: its own code on arms whose quality is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from tollens.instrument.registry import INSTRUMENTS
from tollens.protocol.sign_check import Measurements, SignSpec, judge, measure, refusal
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
    spec = sign_spec(study)
    with MetricProcess(folder, study.metric.file, limits=Limits(SECONDS, MEBIBYTES)) as process:
        described = process.describe()
        absent = [name for name in ("produce", "metric", study.null.generator) if name not in described.functions]
        if absent:
            raise refused(
                "metric_incomplete", study.metric.file, "produce, metric, the null generator and ARMS",
                f"no {', '.join(absent)}", f"Define {absent[0]} in {study.metric.file}.",
            )  # fmt: skip
        found = process.call("tollens.run.sign:measured_arms", msgspec.to_builtins(spec))
    report = judge(msgspec.convert(found, Measurements), spec)
    error = refusal(report)
    if error is not None:
        raise error
    return msgspec.to_builtins(report), report.sentence


def sign_spec(study: Study) -> SignSpec:
    """What the sign-check of a study asks. Raises TollensError `sign_spec`, exit 3."""
    table = study.sign_check
    assert table is not None
    return SignSpec(
        quantity=study.claim.quantity,
        direction=study.claim.direction,
        margin=float(table.margin),
        null_value=float(table.null_value),
        tolerance=float(table.tolerance),
        value=float(study.claim.value) if study.claim.direction == "target" else None,
        attempts=tuple(table.attempts),
        reducer=table.reducer,
        labels=table.labels,
    )


def measured_arms(module: ModuleType, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The half of the sign-check that runs where the metric runs: its values on its own arms."""
    arms = getattr(module, "ARMS", {})
    found: dict[str, Any] = msgspec.to_builtins(
        measure(module.metric, arms, msgspec.convert(arguments, SignSpec), SEED)
    )
    return found


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
        raise refused(
            "answers_fail", f"instrument {made.name}", "its known answers", failing[made.name], "Run selftest."
        )
    answers = [answer.title for answer in made.known_answers]
    sentence = f"SIGN OK  {made.name} {made.version} gives its {len(answers)} known answers on this machine"
    return {"instrument": made.name, "version": made.version, "answers": answers}, sentence


def _readers(quantity: str) -> list[str]:
    return sorted(made.name for made in INSTRUMENTS.values() if quantity in made.quantities)
