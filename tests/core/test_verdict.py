from __future__ import annotations

from tollens.core.verdict import Verdict


def test_every_verdict_has_the_exit_code_of_the_product() -> None:
    assert {v: int(v.exit_code) for v in Verdict} == {
        "SURVIVED": 0,
        "KILLED": 10,
        "UNDETERMINED": 11,
        "VOID": 12,
        "BLOCKED": 13,
    }
