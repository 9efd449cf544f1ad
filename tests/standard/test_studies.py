"""The sealed studies of the demonstration: what they claim is false, or true; and each part of it can fail."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file

from tollens import demo
from tollens.core.errors import Exit, TollensError
from tollens.protocol.decision import Decision
from tollens.run.climb import climb
from tollens.run.lock import SealReport, lock
from tollens.standard.studies import CLAIMED_RATIO, Climb, Studies, Verbs, climb_studies, spread_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studies")


@pytest.fixture(scope="module")
def made(folder: Path) -> Studies:
    return climb_studies(folder)


def decided(climb: Climb) -> Decision:
    assert climb.decision is not None, climb.refused
    return climb.decision


def test_all_came_out_as_they_must(made: Studies) -> None:
    assert {name: climb.passed for name, climb in made.climbs.items()} == dict.fromkeys(made.climbs, True)
    assert made.refusal.passed


def test_numbers_that_cannot_be_true_die_where_it_is_free(made: Studies) -> None:
    # 75,008 weights of 32 bits over 75,008 of 8 bits and 522 scales of 32: 2,400,256 / 616,768 = 3.8917
    assert pytest.approx(3.8917, abs=1e-4) == 75_008 * 32 / (75_008 * 8 + 522 * 32)
    assert float(CLAIMED_RATIO) > 3.8917
    impossible = made.climbs["impossible"]
    found = decided(impossible)
    assert (found.verdict, found.rung) == ("KILLED", "numbers")
    assert "3.89167" in found.found
    assert found.spent.requests == 2  # the table that must survive, and the claim; that which must die was not needed
    assert [(price.id, price.kind, price.requests) for price in impossible.unreached] == [("accuracy", "cpu", 66)]
    assert "accuracy: 66 requests, about 1.3 s, 0.00 USD" in found.unspent


def test_the_trapped_weights_die_at_the_first_matrix_and_arithmetic_could_not_kill(made: Studies) -> None:
    matrix = load_file(demo.path("trapped.safetensors"))["layers.1.weight"].astype(np.float64)
    values = np.linalg.svd(matrix, compute_uv=False) ** 2
    false = made.climbs["false"]
    found = decided(false)
    assert [(rung.id, rung.verdict) for rung in found.rungs] == [("numbers", "PASSED"), ("largest", "KILLED")]
    reading = found.rungs[1].readings["layer=layers.1.weight seed=1"]["stable_rank"]
    assert reading == pytest.approx(values.sum() / values.max(), rel=1e-5)
    assert reading < 12
    (left,) = false.unreached
    reached = [price for price in false.plan.rungs if price.id == "largest"]
    assert left.seconds is not None
    assert reached[0].seconds is not None
    assert (left.id, left.requests) == ("layers", 67)
    assert left.seconds > 10 * reached[0].seconds


def test_the_same_claim_survives_on_the_good_weights_and_every_control_fires(tmp_path: Path) -> None:
    where = spread_study(tmp_path, "good.safetensors")
    lock(where)
    found = climb(where)
    assert (found.verdict, found.rung) == ("SURVIVED", "layers")
    assert [rung.traps_not_run for rung in found.rungs] == [[], [], []]
    assert {(trap.arm, trap.observed, trap.fired) for trap in found.traps if trap.rung == "layers"} == {
        ("permuted", "KILLED", True), ("rank_one", "KILLED", True), ("identity", "SURVIVED", True),
    }  # fmt: skip
    assert found.null is not None
    assert (found.null.exceeded, found.null.p) == (True, 0.05)


def test_the_true_claim_survives_every_rung_and_chance(made: Studies) -> None:
    found = decided(made.climbs["true"])
    assert (found.verdict, found.rung) == ("SURVIVED", "accuracy")
    assert [trap.fired for trap in found.traps] == [True] * 4
    assert found.null is not None
    assert (found.null.exceeded, found.null.p) == (True, 0.05)
    assert found.spent.requests == 68
    assert made.climbs["true"].unreached == []
    assert made.climbs["true"].sealed_bytes > 300_000


def test_one_byte_is_edited_named_and_put_back(made: Studies, folder: Path) -> None:
    refusal = made.refusal
    text = (folder / "int8-digits" / "claim.toml").read_bytes()
    assert text[refusal.byte : refusal.byte + 1] == b"0"
    assert text[refusal.byte - 1 : refusal.byte + 3].decode() == refusal.sealed == "-0.5"
    assert refusal.edited == "-9.5"
    assert (refusal.code, refusal.exit_code) == ("tampered", Exit.TAMPERED)
    assert "claim.value sealed '-0.5' found '-9.5'" in refusal.found
    assert "rules." not in refusal.found
    ledger = (folder / "int8-digits" / "ledger.jsonl").read_text()
    assert ledger.count('"type":"seal"') == 1  # it was sealed once, and nothing was run of the edited one
    assert ledger.count('"type":"run.started"') == 1


def test_a_lock_that_seals_nothing_fails_everything(tmp_path: Path) -> None:
    def forgetful(where: Path) -> SealReport:
        report = lock(where)
        for name in ("seal.json", "ledger.jsonl"):
            (where / name).unlink()
        return report

    found = climb_studies(tmp_path, Verbs(lock=forgetful))
    assert [made.passed for made in found.climbs.values()] == [False] * 3
    assert all(str(made.refused).startswith("not_sealed: ") for made in found.climbs.values())
    assert not found.refusal.passed
    assert (found.refusal.code, found.refusal.restored) == ("not_sealed", False)


def test_a_climb_that_does_not_look_at_the_seal_is_seen(made: Studies, tmp_path: Path) -> None:
    known = {"int8-smaller": "impossible", "spread-digits": "false", "int8-digits": "true"}

    def trusting(where: Path, progress=None) -> Decision:
        return decided(made.climbs[known[where.name]])

    found = climb_studies(tmp_path, Verbs(climb=trusting))
    assert [climbed.passed for climbed in found.climbs.values()] == [True] * 3
    assert not found.refusal.passed
    assert found.refusal.code is None
    assert b'value = "-0.5"' in (tmp_path / "int8-digits" / "claim.toml").read_bytes()


def test_a_refusal_for_another_reason_or_without_the_field_is_none(made: Studies) -> None:
    for changed in (
        {"code": "study_busy"}, {"exit_code": 2}, {"found": "TAMPERED claim claim.toml"}, {"restored": False},
    ):  # fmt: skip
        assert not msgspec.structs.replace(made.refusal, **changed).passed, changed


@pytest.mark.parametrize("name", ["impossible", "false", "true"])
def test_a_decision_that_is_not_credible_fails(made: Studies, name: str) -> None:
    climbed = made.climbs[name]
    decision = decided(climbed)
    broken = [msgspec.structs.replace(trap, fired=False) for trap in decision.traps]
    for other in (
        {"verdict": "VOID"}, {"rung": "elsewhere"}, {"traps": []}, {"traps": broken},
    ):  # fmt: skip
        worse = msgspec.structs.replace(climbed, decision=msgspec.structs.replace(decision, **other))
        assert not worse.passed, other
    assert not msgspec.structs.replace(climbed, decision=None, refused="void").passed
    if name != "true":  # a kill that spared nothing
        spent = msgspec.structs.replace(climbed.plan, rungs=climbed.plan.rungs[: len(climbed.reached)])
        assert not msgspec.structs.replace(climbed, plan=spent).passed


def test_a_survival_without_a_null_or_with_a_control_left_out_fails(made: Studies) -> None:
    climbed = made.climbs["true"]
    decision = decided(climbed)
    assert decision.null is not None
    reached = msgspec.structs.replace(decision.null, exceeded=False)
    left = [msgspec.structs.replace(rung, traps_not_run=["identity"]) for rung in decision.rungs]
    for other in ({"null": None}, {"null": reached}, {"rungs": left}, {"rungs": decision.rungs[:1]}):
        worse = msgspec.structs.replace(climbed, decision=msgspec.structs.replace(decision, **other))
        assert not worse.passed, other


def test_a_study_that_is_not_sealed_is_raised(tmp_path: Path) -> None:
    def refusing(where: Path) -> SealReport:
        raise TollensError("sign_reversed", where.name, expected="", found="", fix="", exit_code=Exit.REFUSED_TO_SEAL)

    with pytest.raises(TollensError) as caught:
        climb_studies(tmp_path, Verbs(lock=refusing))
    assert caught.value.exit_code == Exit.REFUSED_TO_SEAL


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    where = spread_study(tmp_path, "trapped.safetensors")
    lock(where)
    climb(where, progress=lambda done, of, name: told.append((done, of, name)))
    assert [of for _, of, _ in told] == [74] * 5
