"""What a registration is refused for, and what it is told to change."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

import pytest

from tollens.core.codes import CODES
from tollens.core.errors import Exit, TollensError
from tollens.core.expression import conjuncts, search
from tollens.core.expression import reach as reach_module
from tollens.core.expression.check import Sort
from tollens.core.expression.domain import Domain
from tollens.core.expression.examine import COMPLEMENTS, Examination, examine, show_witness
from tollens.core.expression.parser import parse
from tollens.core.expression.ranges import Support
from tollens.core.units import parse_unit

COUNTER = Domain(Support(0, 4096), Sort.INTEGER)
X = {"x": Domain(Support(-100, 100), count=3)}


def examined(finding: str, kill: str, claim: str, domains: Mapping[str, Domain]) -> Examination:
    return examine(parse(finding), parse(kill), parse(claim), domains)


def refused(finding: str, kill: str, claim: str, domains: Mapping[str, Domain], code: str) -> TollensError:
    with pytest.raises(TollensError) as caught:
        examined(finding, kill, claim, domains)
    error = caught.value
    assert error.code == code
    assert error.code in CODES
    assert error.exit_code == Exit.REFUSED_TO_SEAL
    assert str(error).isprintable()
    return error


def test_the_gate_example_seals() -> None:
    domains = {"accuracy_diff": Domain(Support(-100, 100), count=3, unit=parse_unit("pp"))}
    claim = "min(accuracy_diff) >= -0.5 pp"
    found = examined(claim, "max(accuracy_diff) < -0.5 pp", claim, domains)
    assert found.warnings == ()
    assert show_witness(found.finding, domains) == "accuracy_diff = [-0.5 (3 times)] pp"
    assert show_witness(found.kill, domains) == "accuracy_diff = [-100 (3 times)] pp"


def test_two_counters_seal_with_their_witnesses() -> None:
    domains = {"leaked": COUNTER, "control": COUNTER}
    finding = "leaked > 0 and control > 0"
    found = examined(finding, "leaked == 0 and control > 0", "leaked > 0", domains)
    assert show_witness(found.finding, domains) == "leaked = 1, control = 1"
    assert show_witness(found.not_finding, domains) == "leaked = 0, control = 0"
    assert show_witness(found.kill, domains) == "leaked = 0, control = 1"


def test_a_finding_that_can_never_fire() -> None:
    domains = {"argmax_flips": Domain(Support(values=(0,)), Sort.INTEGER)}
    error = refused("argmax_flips > 0", "argmax_flips == 0", "argmax_flips > 0", domains, "rule_unreachable")
    assert error.subject == "finding"
    assert error.found == ("finding can never fire: `argmax_flips > 0` is false everywhere: argmax_flips lies in {0}")


@pytest.mark.parametrize("side", ["finding", "kill"])
def test_a_rule_that_always_or_never_holds(side: str) -> None:
    for bad, code in (("2 > 1 or all(x > 3)", "rule_always"), ("x - x > 0", "rule_unreachable")):
        rules = {"finding": "min(x) >= 0", "kill": "max(x) < 0", side: bad}
        domains = {"x": Domain(Support(-100, 100))} if code == "rule_unreachable" else X
        if code == "rule_unreachable":
            rules = {role: re.sub(r"(?:min|max)\(x\)", "x", rule) for role, rule in rules.items()}
        claim = "x >= 0" if code == "rule_unreachable" else "min(x) >= 0"
        assert refused(rules["finding"], rules["kill"], claim, domains, code).subject == side


def test_overlap_prints_its_witness_and_a_kill_that_seals() -> None:
    error = refused("max(x) > 0", "min(x) < 0", "max(x) > 0", X, "rules_overlap")
    assert error.found == "both hold for x = [-100 (2 times), 1]"
    mended = re.search('kill = "(.*)"', error.fix)
    assert mended is not None
    assert examined("max(x) > 0", mended[1], "max(x) > 0", X).kill == {"x": (-100, -100, -100)}


def test_a_weaker_finding_prints_its_witness_and_a_finding_that_seals() -> None:
    error = refused("mean(x) >= 0", "max(x) < 0", "min(x) >= 0", X, "finding_weaker")
    # -100 + 50 + 50 = 0: the mean is 0 and the minimum below 0.
    assert error.found == "finding holds and the claim does not for x = [-100, 50 (2 times)]"
    mended = re.search('finding = "(.*)"', error.fix)
    assert mended is not None
    assert examined(mended[1], "max(x) < 0", "min(x) >= 0", X)


def test_a_finding_on_the_strict_side_of_the_claim_is_not_weaker() -> None:
    assert examined("min(x) > 0", "max(x) < 0", "min(x) >= 0", X)
    refused("min(x) >= 0", "max(x) < 0", "min(x) > 0", X, "finding_weaker")


def test_complements_are_warned_of() -> None:
    assert examined("min(x) >= 0", "any(x < 0)", "min(x) >= 0", X).warnings == (COMPLEMENTS,)
    assert examined("min(x) >= 0", "all(x < 0)", "min(x) >= 0", X).warnings == ()


def test_undecided_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conjuncts, "MAX_CONJUNCTS", 0)
    monkeypatch.setattr(reach_module, "_FEW", 0)
    monkeypatch.setattr(search, "MAX_BOXES", 50)
    monkeypatch.setattr(search, "MAX_CANDIDATES", 50)
    domains = {"a": Domain(Support(-10, 10)), "b": Domain(Support(-10, 10))}
    error = refused("a > b and a < b", "a > b", "a > b", domains, "reachability_undecided")
    assert error.found.startswith("REACHABILITY UNDECIDED: ")


def test_every_declared_reading_is_examined() -> None:
    refused("min(x) >= 0", "max(x) < 0", "min(x) >= 0", {**X, "y": Domain(Support(0, 1), count=0)}, "rule_list_empty")


def test_witnesses_are_readable() -> None:
    domains = {"x": Domain(Support(-1, 1), count=7), "n": COUNTER}
    found = examined("quantile(0.2, x) >= 0.5 and n > 2", "max(x) < 0.5", "n >= 0", domains)
    assert show_witness(found.finding, domains) == "x = [0.5 (7 times)], n = 3"


def test_a_hundred_cells_take_milliseconds() -> None:
    domains = {"x": Domain(Support(-100, 100), count=100)}
    start = time.process_time()
    for _ in range(5):
        examined("min(x) >= -0.5", "max(x) < -0.5", "min(x) >= -0.5", domains)
    # Measured 8 ms of processor time each; the bound leaves room for a slower machine.
    assert (time.process_time() - start) / 5 < 0.2
