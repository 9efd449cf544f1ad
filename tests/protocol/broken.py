"""Ten methods that are broken, each in one place, on a bench that runs them: a reference, a method and its controls.

The reference reads one direction of its inputs. The method adds to its score a second direction, learned from labelled
items. Where the classes do not differ along any second direction, no method of this form gains; it loses about 2.5 pp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from tests.protocol.worlds import GAIN, decided, study

from tollens.core.seeding import generator
from tollens.protocol.attack import Ask
from tollens.protocol.registration import Cell
from tollens.protocol.rung import Arm, Measured
from tollens.protocol.sign_arms import Arm as SignArm
from tollens.protocol.sign_arms import Inputs, sentinel_arms
from tollens.protocol.sign_check import SignReport, SignSpec, judge, measure

Floats: TypeAlias = NDArray[np.float64]
Metric: TypeAlias = Callable[[Inputs], Mapping[str, float]]

TASK = study(
    10,
    finding="mean(gain) >= 4 pp",
    kill="mean(gain) < 3 pp",
    value="4",
    traps={
        "trivial_pass": "survive",
        "random_basis": "die",
        "task_swap": "die",
        "off_projection": "die",
        "permuted_labels": "die",
    },
)
"""The study that every method is put to, with the controls that its author would declare without knowing the fault."""

WIDTH, LEARNED_FROM, TESTED = 20, 40, 200
KNOWN, OVERLOOKED, OTHER_TASK, LAST = 0, 1, 2, -1
SIGNAL, STRENGTH, EFFECT, PADDING, SHORT = 0.8, 0.5, 1.0, 100, 50


@dataclass(frozen=True)
class Bench:
    """How arms are made and tested. Each field is one fault; the defaults have none, and the claim is false.

    effect     distance of the classes along a second direction, in standard deviations: the claim is true
    learns     what the subject is: "learned", "random" or "nothing"
    leak       a column of the inputs holds the label
    tries      seeds, each tested on 50 items of its own, of which the one that tests best is reported
    on_train   the items that were learned from are tested
    handicap   what is added to the score of the reference
    abstain    share of the items, the least certain ones, to which the method gives no answer (NaN)
    padding    rows beyond the items, all of them "right"
    told       the subject is given the labels
    alone      the fault is the subject's alone: its controls and its null run without it
    """

    effect: float = 0.0
    learns: str = "learned"
    leak: bool = False
    tries: int = 1
    on_train: bool = False
    handicap: float = 0.0
    abstain: float = 0.0
    padding: int = 0
    told: bool = False
    alone: bool = False


@dataclass(frozen=True)
class Data:
    """Items of one cell: x (n, WIDTH), labels and those of another task (n,), -1 or 1; the first ones to learn from."""

    x: Floats
    y: Floats
    other: Floats


def data_of(bench: Bench, rng: np.random.Generator) -> Data:
    n = LEARNED_FROM + TESTED
    y, other = rng.choice((-1.0, 1.0), n), rng.choice((-1.0, 1.0), n)
    x = rng.standard_normal((n, WIDTH))
    x[:, KNOWN] += SIGNAL * y
    x[:, OVERLOOKED] += bench.effect * y
    x[:, OTHER_TASK] += EFFECT * other
    return Data(x, y, other)


def produce(bench: Bench, arm: Arm, data: Data, rng: np.random.Generator) -> Inputs:
    """What `metric` is given: 1 for a right answer, else 0, (rows,) for the arm and the reference, and what is real."""
    subject_of_claim = arm.name == TASK.registration.study.claim.subject
    if bench.alone and not subject_of_claim:
        bench = Bench(effect=bench.effect)
    # Labels are permuted over the whole data set, before anything is learned, tested or left among the inputs.
    y = rng.permutation(data.y) if arm.name == "permuted_labels" else data.y
    x = data.x
    if bench.leak:
        x = x.copy()
        x[:, LAST] = 2.0 * y
    learned = slice(0, LEARNED_FROM)
    tested = learned if bench.on_train else slice(LEARNED_FROM, None)
    known, truth = x[tested, KNOWN], y[tested]
    if arm.name == "trivial_pass" or (bench.told and subject_of_claim):
        score = truth[None]
    else:
        directions = _directions(bench, arm, Data(x[learned], y[learned], data.other[learned]), rng)
        score = known + STRENGTH * directions @ x[tested].T
    right = ((score > 0) == (truth > 0)).astype(np.float64)
    reference = ((known + bench.handicap > 0) == (truth > 0)).astype(np.float64)
    tried = _chosen(right, reference, rng) if len(right) > 1 else (0, np.arange(truth.size))
    subject, reference, sure = (row[tried[1]] for row in (right[tried[0]], reference, np.abs(score[tried[0]])))
    if bench.abstain:
        subject[sure < np.quantile(sure, bench.abstain)] = np.nan
    return _with_padding(subject, reference, bench.padding)


def _chosen(right: Floats, reference: Floats, rng: np.random.Generator) -> tuple[int, NDArray[np.int64]]:
    """The seed that tests best, and the items that it was tested on; every seed is tested on items of its own."""
    items = np.argsort(rng.random(right.shape), axis=1)[:, :SHORT]
    best = int((np.take_along_axis(right, items, axis=1) - reference[items]).mean(axis=1).argmax())
    return best, items[best]


def _directions(bench: Bench, arm: Arm, data: Data, rng: np.random.Generator) -> Floats:
    """Unit vectors across the known direction, (tries, WIDTH); zeros where the method does nothing."""
    how = {"method": bench.learns, "random_basis": "random", "null": "random"}.get(arm.name, "learned")
    if how == "nothing":
        return np.zeros((1, WIDTH))
    if how == "random":
        found = rng.standard_normal((bench.tries, WIDTH))
    else:
        labels = data.other if arm.name == "task_swap" else data.y
        starts = rng.standard_normal((bench.tries, WIDTH)) if bench.tries > 1 else np.zeros((1, WIDTH))
        found = labels @ data.x / labels.size + starts
    found[:, KNOWN] = 0.0
    made: Floats = found / np.linalg.norm(found, axis=1, keepdims=True)
    if arm.name == "off_projection":  # as long, and outside what was learned
        found = rng.standard_normal(made.shape)
        found[:, KNOWN] = 0.0
        found -= (found * made).sum(axis=1, keepdims=True) * made
        made = found / np.linalg.norm(found, axis=1, keepdims=True)
    return made


def _with_padding(subject: Floats, reference: Floats, rows: int) -> Inputs:
    return {
        "subject": np.concatenate([subject, np.ones(rows)]),
        "reference": np.concatenate([reference, np.zeros(rows)]),
        "real": np.repeat(np.array([1, 0]), [subject.size, rows]),
    }


def honest(inputs: Inputs) -> dict[str, float]:
    """Percentage points of the real items."""
    real = inputs["real"]
    return {GAIN: 100.0 * float(((inputs["subject"] - inputs["reference"]) * real).sum() / real.sum())}


def constant(inputs: Inputs) -> dict[str, float]:
    return {GAIN: 5.0}


def reversed_sign(inputs: Inputs) -> dict[str, float]:
    return {GAIN: -honest(inputs)[GAIN]}


def ignores_nan(inputs: Inputs) -> dict[str, float]:
    real = inputs["real"] > 0
    return {GAIN: 100.0 * float(np.nanmean(inputs["subject"][real]) - np.nanmean(inputs["reference"][real]))}


def counts_padding(inputs: Inputs) -> dict[str, float]:
    real = inputs["real"] > 0
    return {GAIN: 100.0 * float(np.mean(inputs["subject"]) - np.mean(inputs["reference"][real]))}


def _padded(arm: SignArm) -> SignArm:
    def made(rng: np.random.Generator, severity: float) -> Inputs:
        inputs = arm(rng, severity)
        return _with_padding(inputs["subject"], inputs["reference"], PADDING)

    return made


ARMS = {name: _padded(arm) for name, arm in sentinel_arms("accuracy_diff").items()}
"""Those of a paired accuracy, with rows of padding, as every batch of this bench may have them."""


@cache
def sealed(metric: Metric, seed: int) -> SignReport:
    """What the sign-check says before a study with this metric is sealed."""
    spec = SignSpec(quantity=GAIN, direction="higher_is_better", margin=0.5, null_value=0.0, tolerance=0.1)
    return judge(measure(metric, ARMS, spec, seed), spec)


@dataclass(frozen=True)
class Method:
    """What is wrong with it, `fault`, and what is to catch it: an outcome of the sign-check or a verdict."""

    name: str
    fault: str
    caught: str
    bench: Bench = Bench()
    metric: Metric = honest


METHODS = (
    Method("constant metric", "the metric reads 5 pp whatever it is given", "SIGN BLIND", metric=constant),
    Method("reversed sign", "the metric subtracts the method from the base", "SIGN REVERSED", metric=reversed_sign),
    Method(
        "NaN ignored", "no answer is given where the method is unsure, and the metric leaves those items out",
        "SIGN UNSTABLE", Bench(abstain=0.4), ignores_nan,
    ),
    Method(
        "padding counted", "the metric counts rows of padding as right answers of the method",
        "SIGN UNSTABLE", Bench(padding=PADDING), counts_padding,
    ),
    Method("leaked labels", "a column of the inputs holds the label of every item", "VOID", Bench(leak=True)),
    Method("identity as method", "the method changes nothing", "KILLED", Bench(learns="nothing")),
    Method("random method", "the method is a draw of the null", "KILLED", Bench(learns="random")),
    Method("best of 20 seeds", "the seed that tests best is the one reported", "VOID", Bench(tries=20)),
    Method("tested on training items", "what was learned from is what is tested", "VOID", Bench(on_train=True)),
    Method("handicapped reference", "the base answers with a wrong threshold", "VOID", Bench(handicap=1.0)),
)  # fmt: skip

HONEST = (
    Method("honest, and the claim is false", "none", "KILLED"),
    Method("honest, and the claim is true", "none", "SURVIVED", Bench(effect=EFFECT)),
)

UNSEEN = (
    Method("labels told to the subject alone", "the code hands the labels to one arm", "SURVIVED", Bench(told=True)),
    Method("leaked labels, subject alone", "the controls run without the leak", "SURVIVED", Bench(leak=True)),
    Method("handicapped reference, subject alone", "the controls meet a better one", "SURVIVED", Bench(handicap=1.0)),
)
"""Faults that produce() has for the subject and hides from its controls: no run can tell them from an effect."""


def ask_of(method: Method, run: int) -> Ask:
    """One run: the data of a cell are drawn once, and are the same for every arm."""
    bench, held, rng = method.bench, dict[str, Data](), generator(run, "bench", method.name)
    if method in UNSEEN:
        bench = replace(bench, alone=True)

    def ask(arm: Arm, cell: Cell) -> Measured:
        if cell.label not in held:
            held[cell.label] = data_of(bench, rng)
        inputs = produce(bench, arm, held[cell.label], rng)
        return Measured(dict(method.metric(inputs)))

    return ask


def verdict_of(method: Method, run: int) -> str:
    """What becomes of a method whose metric was not refused."""
    return decided(TASK, ask_of(method, run)).verdict
