"""The demonstration on the digits network: a trap is found without data, shown to harm, and removed.

Then claims about the network are sealed and climbed: the false ones die where it is cheap, a true one survives, and
a study that was edited after its seal is refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from tollens import demo
from tollens.core.seeding import generator
from tollens.instrument.bands import OVER
from tollens.protocol.answer import ClaimAnswer
from tollens.run.climb import Progress
from tollens.run.result import ScanReport
from tollens.run.scan import scan as scan_checkpoint
from tollens.standard import digits, repair
from tollens.standard.plant import Wish, plant
from tollens.standard.scoreboard import (
    BlockCode,
    Price,
    Score,
    forward_flops,
    score_climb,
    score_compression,
    score_reported,
)
from tollens.standard.studies import FALSE, IMPOSSIBLE, TRUE, Climb, Refusal, Studies, Verbs, climb_studies

SCHEMA = "tollens.demo/1"
CLAIM = "all(traps_all == 0)"
CLAIMED_RATIO = 8.0
REPORTED = ("ab-power", "mi-rare-label", "latency-sum")
TOLERANCE = 0.01  # accuracy counts as returned within one point of the good checkpoint

T = TypeVar("T")
# What a seed may plant. Only what the published ablation can judge: it puts back noise with the mean of what
# it cut, so after cutting a mean offset the offset is there again and reads as benign; and in the first
# matrix, with 64 modes, the noise alone moves the outputs as much as a large element does.
PLANTED = Wish(layers=("layers.2.weight",), cause="entry")

Scan = Callable[[Path, str], ScanReport]


class Trap(msgspec.Struct, frozen=True):
    """What was planted: `size` in thresholds, `value` in weight units, `where` None for a mean offset."""

    layer: str
    cause: str
    size: float
    value: float
    where: list[int] | None


class Step(msgspec.Struct, frozen=True):
    """One thing that was to be shown, what was seen, and whether it was what had to be seen.

    `climb` names the climb that the step shows, where it shows one.
    """

    title: str
    seen: str
    passed: bool
    seconds: float
    climb: str | None = None


class Accuracies(msgspec.Struct, frozen=True):
    """Shares in 0..1 of the bundled test images that are classified rightly.

    `removed`: the trap is subtracted. `replaced`: a Gaussian matrix of the same element-wise mean and spread
    is put in its place, as published. For a mean offset that puts the offset back.
    """

    good: float
    trapped: float
    removed: float
    replaced: float


class Demonstration(msgspec.Struct, frozen=True):
    """All that `tollens demo` shows; `seed` None stands for the bundled plant.

    `climbs` holds the sealed claims by name, `refusal` what became of the study that was edited after its seal.
    """

    schema: str
    seed: int | None
    planted: Trap
    steps: list[Step]
    accuracies: Accuracies
    scoreboard: list[Score]
    scans: dict[str, ScanReport]
    climbs: dict[str, Climb]
    refusal: Refusal

    @property
    def passed(self) -> bool:
        return all(step.passed for step in self.steps)


@dataclass(frozen=True, slots=True)
class Means:
    """What the demonstration is done with. The defaults are the product; a test breaks one of them."""

    scan: Scan = lambda path, claim: scan_checkpoint(path, claim=claim)
    judge: repair.Judge = repair.judge
    remove: repair.Remove = repair.remove
    climbs: Callable[[Path, Progress | None], Studies] = lambda folder, progress: climb_studies(
        folder, Verbs(), progress
    )


def demonstrate(
    seed: int | None, folder: Path, means: Means | None = None, progress: Progress | None = None
) -> Demonstration:
    """Scan the good and the trapped checkpoint, judge the trap, remove it, climb, and fill the scoreboard.

    With a `seed` a trap is planted in another layer than the bundled one and written to `folder` as
    trapped-SEED.safetensors. The studies are left in `folder`, and always speak of the bundled files. Raises
    TollensError where a study is not sealed.
    """
    means = means or Means()
    data = digits.read_digits(demo.path("digits_test.npz"))
    good_path = demo.path("good.safetensors")
    good = digits.read_weights(good_path)
    trapped_path, planted = _trapped(seed, good, data, folder)
    trapped = digits.read_weights(trapped_path)

    clean, clean_seconds = _timed(lambda: means.scan(good_path, CLAIM))
    found, found_seconds = _timed(lambda: means.scan(trapped_path, CLAIM))
    harm, harm_seconds = _timed(
        lambda: means.judge(trapped, planted.layer, data, generator(seed or 0, "demo", "judge"))
    )

    def with_matrix(matrix: NDArray[np.float32]) -> float:
        return digits.accuracy({**trapped, planted.layer: matrix}, data.inputs(), data.labels)

    def edited(replace: bool) -> float:
        rng = generator(seed or 0, "demo", "remove")
        return with_matrix(means.remove(trapped[planted.layer], rng, replace))

    removed, removed_seconds = _timed(lambda: edited(False))
    accuracies = Accuracies(
        good=with_matrix(good[planted.layer]),
        trapped=with_matrix(trapped[planted.layer]),
        removed=removed,
        replaced=edited(True),
    )
    steps = [
        _scan_good(clean, clean_seconds),
        _scan_trapped(found, planted, found_seconds),
        Step("the ablation test calls the trap harmful", harm.seen, harm.verdict == "harmful", harm_seconds),
        Step(
            "removing it returns the accuracy",
            f"test accuracy {accuracies.good:.1%} good, {accuracies.trapped:.1%} trapped, "
            f"{accuracies.removed:.1%} after removal",
            accuracies.removed >= accuracies.good - TOLERANCE > accuracies.trapped,
            removed_seconds,
        ),
    ]
    test = (
        f"{harm_seconds:.2g} s and {forward_flops(harm.inputs) / 1e9:.2g} Gflop of ablation on labelled "
        "images (run above only to show it)"
    )
    grown_path = demo.path("overtrained.safetensors")
    grown, grown_seconds = _timed(lambda: means.scan(grown_path, CLAIM))
    accuracy = digits.accuracy(digits.read_weights(grown_path), data.inputs(), data.labels)
    steps.append(_scan_grown(grown, accuracy, grown_seconds))
    studies = means.climbs(folder, progress)
    steps += _climbed(studies)
    scoreboard = [
        *score_reported(demo.path("claims.toml"), REPORTED),
        score_compression(good_path, CLAIMED_RATIO, BlockCode(), len(data.labels)),
        _score_claim(found, trapped_path, found_seconds, test),
        _score_claim(clean, good_path, clean_seconds, test),
        *(score_climb(climb) for climb in studies.climbs.values()),
    ]
    scans = {"good": clean, "trapped": found, "overtrained": grown}
    return Demonstration(SCHEMA, seed, planted, steps, accuracies, scoreboard, scans, studies.climbs, studies.refusal)


def _trapped(
    seed: int | None, good: Mapping[str, NDArray[np.float32]], data: digits.Digits, folder: Path
) -> tuple[Path, Trap]:
    stated = json.loads(demo.path("manifest.json").read_text(encoding="utf-8"))
    bundled = stated["checkpoints"]["trapped.safetensors"]["plant"]
    if seed is None:
        trap = Trap(
            bundled["layer"],
            bundled["cause"],
            bundled["size_in_thresholds"],
            bundled["value"],
            bundled["where"],
        )
        return demo.path("trapped.safetensors"), trap
    made = plant(good, seed, data, PLANTED)
    path = folder / f"trapped-{seed}.safetensors"
    path.write_bytes(save(made.weights))
    return path, Trap(made.layer, made.cause, made.size, made.value, list(made.where) if made.where else None)


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    done = work()
    return done, time.perf_counter() - start


def _scan_good(report: ScanReport, seconds: float) -> Step:
    traps = [finding for finding in report.findings if finding.code == "trap"]
    return Step("the scan of the good checkpoint raises no trap", report.headline, not traps, seconds)


def _scan_trapped(report: ScanReport, planted: Trap, seconds: float) -> Step:
    traps = [finding for finding in report.findings if finding.code == "trap"]
    seen = "; ".join(f"{trap.layer}: {trap.sentence}" for trap in traps) or "no trap"
    right = [(trap.layer, trap.cause) for trap in traps] == [(planted.layer, planted.cause)]
    return Step("the scan finds the planted trap without data and names its cause", seen, right, seconds)


def _scan_grown(report: ScanReport, accuracy: float, seconds: float) -> Step:
    below = sorted(layer.alpha for layer in report.layers if layer.band == OVER and layer.alpha is not None)
    also = "".join(f"; {f.code} ({f.cause}) in {f.layer}" for f in report.findings)
    seen = (
        f"trained on 300 images with every fifth label redrawn: alpha {', '.join(f'{a:.2f}' for a in below)} in "
        f"{len(below)} of {len(report.layers)} layers, by convention over-trained; test accuracy {accuracy:.1%}{also}"
    )
    return Step("a third checkpoint grew over-trained; nothing was planted in it", seen, bool(below), seconds)


def _climbed(studies: Studies) -> list[Step]:
    refusal = studies.refusal
    seen = (
        f"byte {refusal.byte:,} of {refusal.file}, the threshold {refusal.sealed} made {refusal.edited}: "
        f"{refusal.found or 'not noticed'}; exit {refusal.exit_code or 0}; "
        f"with the byte put back the climb {'goes on' if refusal.restored else 'is refused'}"
    )
    return [
        _step("a sealed false claim dies at the free rung: impossible numbers", IMPOSSIBLE, studies),
        _step("a sealed false claim dies at the first matrix that is read", FALSE, studies),
        Step("one byte of a sealed study is edited, and it is refused", seen, refusal.passed, refusal.seconds),
        _step("the same study as it was sealed: a true claim, it survives", TRUE, studies),
    ]


def _step(title: str, name: str, studies: Studies) -> Step:
    climb = studies.climbs[name]
    made = climb.decision
    if made is None:
        return Step(title, f"the climb was refused: {climb.refused}", climb.passed, climb.seconds, name)
    met = [f"{trap.arm} {trap.observed.lower()}" for trap in made.traps]
    said = [f'"{made.text}"', f"found {made.found}", f"controls: {', '.join(met)}"]
    if made.null is not None:
        said.append(f"chance: {made.null.sentence}")
    if made.verdict == "SURVIVED":
        said.append("not refuted by these attacks, never proved")
    return Step(title, "; ".join(said), climb.passed, climb.seconds, name)


def _score_claim(report: ScanReport, path: Path, seconds: float, test: str) -> Score:
    answer = report.claim
    if not isinstance(answer, ClaimAnswer):
        raise ValueError(f"the scan of {path.name} was asked for a claim and answered none")
    killed = answer.verdict == "KILLED"
    return Score(
        claim=CLAIM,
        subject=path.name,
        verdict=str(answer.verdict),
        rung="weights",
        witness=answer.found,
        price=Price(seconds, path.stat().st_size),
        unspent=f"{'not spent because it died here' if killed else 'the next rung'}: {test}",
    )
