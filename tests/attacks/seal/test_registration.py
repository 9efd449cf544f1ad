"""Attacks before the seal: a claim that means less than it says, idle controls, names that look alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.attacks.seal.study import CLAIM, METRIC, Cli, make

from tollens.protocol.rung import RUNGS, Measured, Request, RungKind, rung_kind

REFUSED = {
    "the comparator reversed": ('relation = ">="', 'relation = "<="', "SIGN REVERSED"),
    "a finding below the claim": ('value = "-10"', 'value = "-5"', "finding_weaker"),
    "a finding that looks at the best seed": (
        'finding = "min(accuracy_diff) >= -10 pp"\nkill = "mean(',
        'finding = "max(accuracy_diff) >= -10 pp"\nkill = "max(',
        "finding_weaker",
    ),
    "a finding that cannot fail": (
        'finding = "min(accuracy_diff) >= -10 pp"',
        'finding = "min(accuracy_diff) >= -100 pp"',
        "rule_always",
    ),
    "a kill that cannot fire": ("< -10 pp", "< -100 pp", "rule_unreachable"),
    "a kill that overlaps the finding": (
        "mean(accuracy_diff) < -10 pp",
        "mean(accuracy_diff) < 50 pp",
        "rules_overlap",
    ),
    "a unit that is not the same": ("-10 pp", "-10 %", "claim_unit_mismatch"),
    "too few draws for the level": ("draws = 19", "draws = 18", "null_few_draws"),
    "the wrong end of the null": ('order = "max"', 'order = "min"', "null_field"),
    "no trap that must die": ('must = "die"', 'must = "survive"', "trap_missing"),
    "no trap that must survive": ('must = "survive"', 'must = "die"', "trap_missing"),
    "no traps on the rung": ('kind = "cpu"', 'kind = "cpu"\ntraps = []', "trap_missing"),
    "only one cell measured": ('kind = "cpu"', 'kind = "cpu"\ncells = ["seed=1"]', "study_missing"),
    "a cell that is not there": ('kind = "cpu"', 'kind = "cpu"\nhardest = ["seed=9"]', "study_field"),
    "one seed twice": ("seeds = [1, 2]", "seeds = [1, 1]", "study_field"),
    "a rung that requires itself": ('kind = "cpu"', 'kind = "cpu"\nrequires = ["items"]', "ladder_cycle"),
    "a kill probability of more than one": ("value = 0.5,", "value = 1.5,", "study_field"),
    "a negative price": ("est_seconds = 0.01", "est_seconds = 0.01\nest_cost = { usd_micro = -5 }", "study_field"),
    "a key twice": ('value = "-10"', 'value = "-60"\nvalue = "-10"', "study_syntax"),
    "a table twice": ("[rules]", '[rules]\nfinding = "min(accuracy_diff) >= -60 pp"\n[rules]', "study_syntax"),
    "a key that nobody reads": ('must = "die"', 'must = "die"\nunless = "inconvenient"', "study_field"),
    "a key with a Cyrillic letter": ('relation = ">="', 'relation = ">="\n"v\\u0430lue" = "-60"', "study_field"),
    "a quantity with a Cyrillic letter": ('"min(accuracy_diff) >=', '"min(\u0430ccuracy_diff) >=', "claim_character"),
    "a minus that is none": ('value = "-10"', 'value = "\u221210"', "study_field"),
    "full-width digits": ('value = "-10"', 'value = "-\uff11\uff10"', "study_field"),
    "an id with a Cyrillic letter": ('id = "gate"', 'id = "g\u0430te"', "study_field"),
    "an id that is a path": ('id = "gate"', 'id = "../gate"', "study_field"),
    "data outside of the folder": ('"items.csv"', '"../items.csv"', "path_outside"),
    "data by an absolute path": ('"items.csv"', '"/etc/hostname"', "path_outside"),
    "data that is not there": ('"items.csv"', '"other.csv"', "data_unreadable"),
    "a placeholder": ("ten points", "TODO points", "study_placeholder"),
    "a kind of rung that nobody brings": ('kind = "cpu"', 'kind = "oracle"', "unknown_rung"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_study_that_promises_less_than_it_says_is_not_sealed(name: str, tmp_path: Path, cli: Cli) -> None:
    old, new, code = REFUSED[name]
    assert old in CLAIM
    folder = make(tmp_path / "s", claim=CLAIM.replace(old, new))
    said = cli("lock", folder)
    assert (said.exit, code in said.text) == (3, True), said
    assert not (folder / "seal.json").exists()
    assert not (folder / "ledger.jsonl").exists()


METRICS = {
    "a metric of the wrong sign": ("100 * float", "-100 * float", "SIGN REVERSED"),
    "a metric that sees nothing": ("100 * float", "0 * float", "BLIND"),
    "a metric that tosses a coin": ("100 * float", "np.random.default_rng().choice([-1, 1]) * float", "UNSTABLE"),
    "a metric that swallows a NaN": ('np.mean(inputs["subject"])', 'np.nanmean(inputs["subject"])', "SIGN"),
    "an import that is formed at run time": (
        "import numpy as np",
        "import numpy as np\n__import__('o' + 's')",
        "metric_dynamic",
    ),
    "code in a text": ("import numpy as np", "import numpy as np\nexec('x = 1')", "metric_dynamic"),
    "a module that nobody has": ("import numpy as np", "import numpy as np\nimport nobody_has_this", "metric_unpinned"),
    "a path of imports of its own": (
        "import numpy as np",
        "import numpy as np\nimport sys\nsys.path.insert(0, 'x')",
        "metric_dynamic",
    ),
    "no null": ("def null(", "def nothing(", "metric_incomplete"),
    "no arms": ('ARMS = sentinel_arms("accuracy_diff")', "", "sign_arms"),
}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_that_cannot_be_trusted_is_not_sealed(name: str, tmp_path: Path, cli: Cli) -> None:
    old, new, code = METRICS[name]
    assert old in METRIC
    folder = make(tmp_path / "s", metric=METRIC.replace(old, new))
    said = cli("lock", folder)
    assert code in said.text, said
    assert said.exit in (2, 3)
    assert not (folder / "seal.json").exists()


VOID = {
    "a control that must die and reads what the subject reads": ('arm = "coin"', 'arm = "twin"'),
    "a control that must survive and is thrown like a coin": ('arm = "base"', 'arm = "dice"'),
}


@pytest.mark.parametrize("name", VOID)
def test_a_control_that_does_not_behave_voids_the_verdict(name: str, tmp_path: Path, cli: Cli) -> None:
    old, new = VOID[name]
    folder = make(tmp_path / "s", claim=CLAIM.replace(old, new))
    assert cli("lock", folder).exit == 0
    said = cli("climb", folder)
    assert (said.exit, said.out.split()[0]) == (12, "VOID"), said


@pytest.mark.parametrize("control", ["coin", "base"])
def test_the_subject_is_no_control_of_itself(control: str, tmp_path: Path, cli: Cli) -> None:
    folder = make(tmp_path / "s", claim=CLAIM.replace(f'arm = "{control}"', 'arm = "gated"'))
    said = cli("lock", folder)
    assert said.exit == 3
    assert "the subject of the claim itself" in said.text


@pytest.mark.parametrize(("lost", "verdict"), [(1, "SURVIVED"), (20, "VOID")])
def test_a_control_that_must_survive_and_is_a_twin_of_the_subject_can_only_hide_a_kill(
    lost: int, verdict: str, tmp_path: Path, cli: Cli
) -> None:
    """It never flatters: a false claim is then void instead of killed, and a true one survives what it survives."""
    folder = make(tmp_path / "s", claim=CLAIM.replace('arm = "base"', 'arm = "twin"'), lost=lost)
    assert cli("lock", folder).exit == 0
    assert cli("climb", folder).out.split()[0] == verdict


def test_a_rung_in_front_that_cannot_kill_is_not_sealed(tmp_path: Path, cli: Cli) -> None:
    """A cheap rung of one cell with a flattering price, beside a kill that needs both."""
    first = CLAIM[CLAIM.index("[[rung]]") : CLAIM.index("[stopping]")]
    easy = first.replace('"items"', '"easy"').replace('kind = "cpu"', 'kind = "cpu"\ncells = ["seed=2"]')
    folder = make(tmp_path / "s", claim=CLAIM.replace(first, easy + first), lost=20)
    said = cli("lock", folder)
    assert (said.exit, "rung_cannot_kill" in said.text) == (3, True), said


def test_a_rung_that_waits_for_one_that_did_not_pass_is_blocked_and_never_passed_over(tmp_path: Path, cli: Cli) -> None:
    first = CLAIM[CLAIM.index("[[rung]]") : CLAIM.index("[stopping]")]
    second = first.replace('"items"', '"again"').replace('kind = "cpu"', 'kind = "cpu"\nrequires = ["items"]')
    claim = CLAIM.replace(first, first + second).replace("mean(accuracy_diff) < -10 pp", "mean(accuracy_diff) < -90 pp")
    folder = make(tmp_path / "s", claim=claim, lost=20)
    said = cli("lock", folder)
    assert said.exit == 0, said
    assert cli("climb", folder).exit in (11, 12, 13)


@pytest.fixture
def oracle() -> Callable[[], None]:
    """Takes the plugged-in kind of rung out of the registry again."""
    yield lambda: None
    RUNGS.pop("flatterer", None)


def test_a_plugged_in_rung_without_traps_is_refused(tmp_path: Path, cli: Cli, oracle: Callable[[], None]) -> None:
    """One that judges by itself must bring both controls, and one that judges the claim takes those of the study."""
    from contextlib import contextmanager

    @contextmanager
    def opened(opening):  # type: ignore[no-untyped-def]
        yield lambda arm, cell: Measured({"violations": 0, "accuracy_diff": 0.0})

    def kind(judges: str) -> RungKind:
        return RungKind(
            name="flatterer", version="1", judges=judges, open=opened, request=lambda _: Request(0.0, "free"),
            traps=(), arms=None,
        )  # fmt: skip

    with pytest.raises(ValueError, match="no trap of each fate"):
        rung_kind(kind("itself"))
    rung_kind(kind("claim"))
    flattered = CLAIM.replace('kind = "cpu"', 'kind = "flatterer"').replace(
        'arm = "coin"\nmust = "die"', 'arm = "coin"\nmust = "survive"'
    )
    said = cli("lock", make(tmp_path / "a", claim=flattered))
    assert (said.exit, "trap_missing" in said.text) == (3, True), said
    folder = make(tmp_path / "b", claim=CLAIM.replace('kind = "cpu"', 'kind = "flatterer"'), lost=20)
    assert cli("lock", folder).exit == 0
    said = cli("climb", folder)
    assert (said.exit, said.out.split()[0]) == (12, "VOID"), said
