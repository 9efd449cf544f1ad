"""Without an attack: the same steps pass, so that a refusal is about the attack."""

from __future__ import annotations

from pathlib import Path

from tests.attacks.seal.study import Cli, records


def test_a_sealed_study_is_called_sealed(sealed: Path, cli: Cli) -> None:
    said = cli("status", sealed)
    assert (said.exit, said.out.split()[0]) == (0, "SEALED")


def test_a_true_claim_survives_and_a_false_one_is_killed(survived: Path, killed: Path, cli: Cli) -> None:
    for folder, verdict in ((survived, "SURVIVED"), (killed, "KILLED")):
        said = cli("status", folder)
        assert said.out.split()[:3] == [verdict, "gate", "unanchored"]
        assert records(folder)[-1]["type"] == "verdict"
