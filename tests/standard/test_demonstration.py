"""The demonstration end to end, and that each of its steps can fail."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from tollens import demo
from tollens.standard.demonstration import PLANTED, Demonstration, Means, demonstrate
from tollens.standard.digits import accuracy, read_digits, read_weights
from tollens.standard.plant import SIZES, Wish, plant
from tollens.standard.repair import Harm, remove
from tollens.standard.studies import Studies, climb_studies


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> Demonstration:
    return demonstrate(None, tmp_path_factory.mktemp("demo"))


def known(shown: Demonstration) -> Means:
    """The product's answers, given again without the work, for tests that replace one of them."""
    reports = {f"{name}.safetensors": report for name, report in shown.scans.items()}
    return Means(
        scan=lambda path, claim: reports[path.name],
        judge=lambda weights, layer, data, rng: Harm("harmful", "as known", 1),
        climbs=lambda folder, progress: Studies(shown.climbs, shown.refusal),
    )


CLIMBED = [True] * 4  # the steps that show sealed studies, where they are as known


def test_the_bundled_trap_is_found_judged_and_removed(shown: Demonstration) -> None:
    assert [step.passed for step in shown.steps] == [True] * 9, shown.steps
    assert shown.passed
    assert (shown.planted.layer, shown.planted.cause) == ("layers.1.weight", "entry")
    kept = shown.accuracies
    assert kept.trapped <= kept.good - 0.05
    assert kept.removed >= kept.good - 0.01
    assert kept.replaced >= kept.good - 0.01


def test_the_scoreboard_has_deaths_by_arithmetic_and_by_weights_and_two_survivors(
    shown: Demonstration,
) -> None:
    rows = [(score.verdict, score.rung) for score in shown.scoreboard]
    assert rows == [
        *[("KILLED", "arithmetic")] * 4, ("KILLED", "weights"), ("SURVIVED", "weights"),
        ("KILLED", "arithmetic"), ("KILLED", "weights"), ("SURVIVED", "cpu"),
    ]  # fmt: skip
    *reported, first, second, third, _, _, _ = shown.scoreboard
    assert all(score.subject.startswith("reported numbers: ") for score in reported)
    assert [part for part in ("29.8", "0.141441", "680") if part not in " ".join(r.witness for r in reported)] == []
    assert second.claim == third.claim  # one sentence, two fates
    assert "layers.1.weight" in second.witness
    assert first.price.bytes_read < 1000 < second.price.bytes_read
    assert all(score.price.seconds > 0 for score in shown.scoreboard)
    assert first.unspent.startswith("not spent because it died here")
    assert second.unspent.startswith("not spent because it died here")
    assert third.unspent.startswith("the next rung")


def test_a_climb_is_scored_by_its_decision(shown: Demonstration) -> None:
    for score, climb in zip(shown.scoreboard[-3:], shown.climbs.values(), strict=True):
        made = climb.decision
        assert made is not None
        assert (score.claim, score.verdict, score.witness) == (made.text, made.verdict, made.found)
        assert (score.price.requests, score.price.seconds) == (made.spent.requests, made.spent.seconds)
        assert made.seal[:12] in score.subject
    impossible, false, true = shown.scoreboard[-3:]
    assert "accuracy: 66 requests" in impossible.unspent
    assert "layers: 67 requests" in false.unspent
    assert true.price.requests == 68


def test_the_steps_tell_what_the_climbs_found(shown: Demonstration) -> None:
    said = {step.climb: step.seen for step in shown.steps[5:]}
    assert "ratio = 4.5" in said["impossible"]
    assert "7.77828 at layer=layers.1.weight" in said["false"]
    assert "random_codes killed" in said["true"]
    assert "0 of 19 draws reach it" in said["true"]
    assert "never proved" in said["true"]
    assert "claim.value sealed '-0.5' found '-9.5'; exit 20" in said[None]


def test_a_climb_that_came_out_otherwise_fails_its_step(shown: Demonstration, tmp_path) -> None:
    refused = {
        name: msgspec.structs.replace(climb, decision=None, refused=f"not_sealed: {name}")
        for name, climb in shown.climbs.items()
    }
    means = replace(known(shown), climbs=lambda folder, progress: Studies(refused, shown.refusal))
    made = demonstrate(None, tmp_path, means)
    assert not made.passed
    failed = {step.climb: step.seen for step in made.steps if not step.passed}
    assert failed == {name: f"the climb was refused: not_sealed: {name}" for name in shown.climbs}
    assert [score.verdict for score in made.scoreboard[-3:]] == ["REFUSED"] * 3


def test_an_edit_that_goes_unnoticed_fails_its_step(shown: Demonstration, tmp_path) -> None:
    unseen = msgspec.structs.replace(shown.refusal, code=None, exit_code=None, found="")
    means = replace(known(shown), climbs=lambda folder, progress: Studies(shown.climbs, unseen))
    made = demonstrate(None, tmp_path, means)
    assert [step.passed for step in made.steps] == [*[True] * 7, False, True]
    assert "not noticed; exit 0" in made.steps[7].seen


def test_it_is_one_json_object(shown: Demonstration) -> None:
    back = json.loads(msgspec.json.encode(shown))
    assert back["schema"] == "tollens.demo/1"
    assert back["seed"] is None
    assert back["scans"]["trapped"]["findings"][0]["cause"] == "entry"


def test_a_seed_plants_in_another_layer_with_another_size(shown: Demonstration, tmp_path) -> None:
    made = demonstrate(3, tmp_path, replace(known(shown), scan=Means().scan))
    assert made.passed, made.steps
    assert made.seed == 3
    assert made.planted.layer != shown.planted.layer
    assert made.planted.size != shown.planted.size
    assert (tmp_path / "trapped-3.safetensors").is_file()
    good, written = (
        read_weights(demo.path("good.safetensors")),
        read_weights(tmp_path / "trapped-3.safetensors"),
    )
    assert [name for name in good if not np.array_equal(good[name], written[name])] == [made.planted.layer]


def test_a_trap_in_the_good_checkpoint_fails_the_first_step(shown: Demonstration, tmp_path) -> None:
    same = replace(known(shown), scan=lambda path, claim: shown.scans["trapped"])
    assert [step.passed for step in demonstrate(None, tmp_path, same).steps] == [
        False,
        True,
        True,
        True,
        False,
        *CLIMBED,
    ]


def test_a_scan_that_misses_the_trap_fails_the_second_step(shown: Demonstration, tmp_path) -> None:
    blind = replace(known(shown), scan=lambda path, claim: shown.scans["good"])
    assert [step.passed for step in demonstrate(None, tmp_path, blind).steps] == [
        True,
        False,
        True,
        True,
        False,
        *CLIMBED,
    ]


def test_a_wrong_cause_fails_the_second_step(shown: Demonstration, tmp_path) -> None:
    report = shown.scans["trapped"]
    wrong = msgspec.structs.replace(report, findings=[msgspec.structs.replace(report.findings[0], cause="mean")])
    means = replace(known(shown), scan=lambda path, claim: shown.scans["good"] if "good" in path.name else wrong)
    assert [step.passed for step in demonstrate(None, tmp_path, means).steps] == [
        True,
        False,
        True,
        True,
        False,
        *CLIMBED,
    ]


def test_another_verdict_fails_the_third_step(shown: Demonstration, tmp_path) -> None:
    means = replace(known(shown), judge=lambda weights, layer, data, rng: Harm("benign", "", 1))
    assert [step.passed for step in demonstrate(None, tmp_path, means).steps] == [
        True,
        True,
        False,
        True,
        True,
        *CLIMBED,
    ]


def test_surgery_that_does_nothing_fails_the_fourth_step(shown: Demonstration, tmp_path) -> None:
    means = replace(known(shown), remove=lambda matrix, rng, replace: matrix)
    assert [step.passed for step in demonstrate(None, tmp_path, means).steps] == [
        True,
        True,
        True,
        False,
        True,
        *CLIMBED,
    ]


def test_a_scan_without_an_answer_to_its_claim_is_refused(shown: Demonstration, tmp_path) -> None:
    silent = msgspec.structs.replace(shown.scans["good"], claim=msgspec.UNSET)
    with pytest.raises(ValueError, match="answered none"):
        demonstrate(None, tmp_path, replace(known(shown), scan=lambda path, claim: silent))


def test_removal_without_an_outlier_changes_nothing() -> None:
    matrix = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    assert np.array_equal(remove(matrix, np.random.default_rng(1), True), matrix)


def test_the_published_replacement_puts_a_mean_offset_back() -> None:
    # T is s times the outer product of nearly flat unit vectors: its elements average to the offset, up to
    # the overlaps; R has that mean, hence W - T + R keeps the offset, and W - T does not.
    good, data = read_weights(demo.path("good.safetensors")), read_digits(demo.path("digits_test.npz"))
    made = plant(good, 0, data, Wish(layers=("layers.1.weight",), cause="mean", size=5.0))
    matrix = made.weights[made.layer]
    replaced = remove(matrix, np.random.default_rng(0), True)
    removed = remove(matrix, np.random.default_rng(0), False)
    assert replaced.mean() == pytest.approx(made.value, rel=0.02)
    assert abs(removed.mean()) < 0.02 * abs(made.value)
    kept = [
        accuracy({**good, made.layer: m}, data.inputs(), data.labels) for m in (good[made.layer], replaced, removed)
    ]
    assert kept[1] < kept[0] - 0.1
    assert kept[2] >= kept[0] - 0.01


@pytest.mark.slow
def test_twenty_seeds_pass_every_step(tmp_path) -> None:
    failed = []
    studies = climb_studies(tmp_path)  # a seed does not change them
    for seed in range(20):
        made = demonstrate(seed, tmp_path, replace(Means(), climbs=lambda folder, progress: studies))
        assert SIZES["entry"][0] <= made.planted.size <= SIZES["entry"][1]
        assert [made.planted.layer] == list(PLANTED.layers)
        failed += [(seed, step.title, step.seen) for step in made.steps if not step.passed]
    assert failed == []
