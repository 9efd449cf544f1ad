"""Attacks with numbers: none, not finite, outside of the support, too large, signed zeros, and ties with chance."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.attacks.seal.study import CLAIM, METRIC, Cli, make, records

from tollens.core.errors import TollensError
from tollens.run.lock import lock

RETURN = '    return {"accuracy_diff": 100 * float(np.mean(inputs["subject"]) - np.mean(inputs["reference"]))}\n'
GIVEN = RETURN.replace("    return", "    made =") + "    return made if inputs.get('arm') != 'gated' else {}\n"


def _metric(value: str) -> str:
    """The metric, with another value for the subject alone; what the sign-check sees is honest."""
    assert RETURN in METRIC
    given = METRIC.replace('"reference": right["base"][chosen]}', '"reference": right["base"][chosen], "arm": arm}')
    return given.replace(RETURN, GIVEN.replace("else {}", f"else {value}"))


UNSCORABLE = {
    "a NaN": ("{'accuracy_diff': float('nan')}", "nan"),
    "an infinity": ("{'accuracy_diff': float('inf')}", "inf"),
    "1e400": ("{'accuracy_diff': 1e400}", "inf"),
    "minus 1e400": ("{'accuracy_diff': -1e400}", "-inf"),
    "no value": ("{}", "missing"),
    "a value under a name that looks the same": ("{'\\u0430ccuracy_diff': 0.0}", "missing"),
    "a value above the support": ("{'accuracy_diff': 100.5}", "outside it"),
    "a value below the support": ("{'accuracy_diff': -100.0000001}", "outside it"),
    "a giant integer": ("{'accuracy_diff': 10**400}", "1329 bits"),
    "an integer that JSON readers round": ("{'accuracy_diff': 2**53 + 1}", "54 bits"),
}


@pytest.mark.parametrize("name", UNSCORABLE)
def test_a_reading_that_is_no_value_of_the_support_is_not_scored(name: str, tmp_path: Path, cli: Cli) -> None:
    value, found = UNSCORABLE[name]
    folder = make(tmp_path / "s", metric=_metric(value))
    lock(folder)
    said = cli("climb", folder)
    assert (said.exit, "NOT SCORABLE reading accuracy_diff" in said.text) == (22, True), said
    assert found in said.text
    assert "verdict" not in {r["type"] for r in records(folder)}


@pytest.mark.parametrize("value", ["'0.5'", "True", "None", "[1.0]", "1j"])
def test_a_reading_that_is_no_number_is_refused(value: str, tmp_path: Path, cli: Cli) -> None:
    folder = make(tmp_path / "s", metric=_metric(f"{{'accuracy_diff': {value}}}"))
    lock(folder)
    said = cli("climb", folder)
    assert (said.exit, "real numbers" in said.text) == (2, True), said


@pytest.mark.parametrize(
    ("value", "verdict"), [("-10.0", "SURVIVED"), ("-0.0", "SURVIVED"), ("-10.000000000000002", "KILLED")]
)
def test_the_threshold_is_met_exactly_and_a_zero_has_no_sign(
    value: str, verdict: str, tmp_path: Path, cli: Cli
) -> None:
    folder = make(tmp_path / "s", metric=_metric(f"{{'accuracy_diff': {value}}}"))
    lock(folder)
    assert cli("climb", folder).out.split()[0] == verdict


@pytest.mark.parametrize("zero", ["0.0", "-0.0"])
def test_a_tie_with_chance_counts_against_the_claim(zero: str, tmp_path: Path, cli: Cli) -> None:
    """One of the 19 draws reads exactly what the subject reads: p = 2/20, and the claim does not survive."""
    tied = _metric(f"{{'accuracy_diff': {zero}}}").replace(
        'return ("guess", int(rng.integers(2**32)))', "return 'base'"
    )
    folder = make(tmp_path / "s", metric=tied)
    lock(folder)
    said = cli("climb", folder)
    assert (said.exit, said.out.split()[0]) == (11, "UNDETERMINED"), said
    assert "chance alone reaches it" in said.text


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ('value = "-10"', 'value = "-1e400"', ""),
        ("-10 pp", f"-{'9' * 400} pp", ""),
        ("support = [-100, 100]", "support = [nan, 100]", ""),
        ("support = [-100, 100]", "support = [100, -100]", "study_field"),
        ("seeds = [1, 2]", "seeds = [1, 9223372036854775808]", ""),
        ("seeds = [1, 2]", f"seeds = [1, {2**53 + 1}]", ""),
        ("draws = 19", "draws = -19", ""),
        ("draws = 19", f"draws = {10**18}", ""),
        ("value = 0.5,", "value = 1e-400,", "study_field"),
    ],
)
def test_a_number_that_no_double_or_no_reader_keeps_is_refused_before_the_seal(
    old: str, new: str, code: str, tmp_path: Path, cli: Cli
) -> None:
    folder = make(tmp_path / "s", claim=CLAIM.replace(old, new))
    said = cli("lock", folder)
    assert said.exit in (2, 3), said
    assert code in said.err
    assert not (folder / "seal.json").exists()


def test_the_control_of_all_these_is_sealed(tmp_path: Path) -> None:
    try:
        lock(make(tmp_path / "s", metric=_metric("made")))
    except TollensError as error:  # the message is the point
        pytest.fail(str(error))
