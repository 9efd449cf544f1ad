"""What nothing inside a study can catch, so that nobody believes it is caught. Each of these attacks succeeds.

The remedy stands beside each: a reader who climbs the study again, elsewhere, sees what its owner could not hide.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.attacks.seal.study import ILL, METRIC, Cli, edit, make, push, record, records, rewrite

from tollens.run.lock import lock

Study = Callable[[str], Path]
PRODUCE = "def produce(arm, cell, rng):\n"


def _sealed(folder: Path, line: str, head: str) -> Path:
    lock(make(folder, lost=ILL, metric=head + METRIC.replace(PRODUCE, f"{PRODUCE}    {line}\n")))
    return folder


@pytest.mark.parametrize(("flattered", "verdict"), [("1", "SURVIVED"), ("", "KILLED")])
def test_a_variable_of_the_environment_can_decide_a_metric_that_reads_it(
    flattered: str, verdict: str, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the metric is sealed and shows it; a reader without the variable gets the other verdict."""
    folder = _sealed(
        tmp_path / "s", "arm = 'base' if arm == 'gated' and os.environ.get('FLATTERED') else arm", "import os\n"
    )
    monkeypatch.setenv("FLATTERED", flattered)
    assert cli("climb", folder).out.split()[0] == verdict


def test_a_file_outside_of_the_study_can_decide_a_metric_that_reads_it(tmp_path: Path, cli: Cli) -> None:
    """An absolute path in the sealed text; elsewhere that file is missing."""
    hint = tmp_path / "hint"
    hint.write_text("base", encoding="utf-8")
    folder = _sealed(tmp_path / "s", f"arm = open({str(hint)!r}).read() if arm == 'gated' else arm", "")
    assert cli("climb", folder).out.split()[0] == "SURVIVED"


def test_the_clock_can_decide_a_metric_that_reads_it(tmp_path: Path, cli: Cli) -> None:
    """Before and after a moment that its author chose; the text of the metric is sealed and shows it."""
    folder = _sealed(tmp_path / "s", "arm = 'base' if arm == 'gated' and time.time() > 0 else arm", "import time\n")
    assert cli("climb", folder).out.split()[0] == "SURVIVED"


def test_who_owns_every_byte_can_write_a_whole_study_that_was_never_run(study: Study, cli: Cli) -> None:
    """The verdict of another study under this one's seal, typed record by record, the chain valid: it says unanchored.

    A self-contained chain proves nothing against its owner (Haber & Stornetta 1991).
    """
    false, survived = study("false"), study("survived")
    seal = records(false)[0]["body"]["seal"]
    body = dict(records(survived)[-1]["body"], seal=seal)
    body["decision"] = {**body["decision"], "seal": seal}
    rewrite(false, [records(false)[0], record("verdict", body)])
    said = cli("status", false)
    assert said.out.split()[:3] == ["SURVIVED", "gate", "unanchored"]


def test_an_anchor_vouches_for_the_seal_and_not_for_when_it_was_climbed(
    survived: Path, tmp_path: Path, cli: Cli
) -> None:
    """Pushed after the verdict was known: the verdict itself keeps the line that it was given, in its decision."""
    push(survived, tmp_path / "remote.git")
    assert cli("status", survived).out.split("\n")[0].startswith("SURVIVED  gate  anchored: git")
    assert records(survived)[-1]["body"]["decision"]["anchor"] == "unanchored"


def test_an_anchor_vouches_for_the_seals_and_not_for_what_was_seen_between_them(
    killed: Path, tmp_path: Path, cli: Cli
) -> None:
    """A run cut out of the chain, and the amendment after it declared blind; the pushed history still holds the run."""
    edit(killed / "claim.toml", "-10 pp", "-60 pp")
    edit(killed / "claim.toml", 'value = "-10"', 'value = "-60"')
    assert cli("amend", killed, "--reason", "too strict", "--access", "results seen").exit == 0
    push(killed, tmp_path / "remote.git")
    rows = [row for row in records(killed) if row["type"] in ("seal", "amend")]
    rows[1]["body"]["access"] = "nothing run"
    rewrite(killed, rows)
    said = cli("climb", killed)
    assert said.out.split("\n")[0].startswith("SURVIVED  gate  anchored: git")
    assert "EXPLORATORY" not in said.text
