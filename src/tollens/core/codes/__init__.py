"""Every error, status and finding code of the product, in one namespace, with its explanation.

A new code goes into the file of its theme: `errors` (input that cannot be used), `claims` (a claim that
cannot be read), `imports` (results of other tools), `laboratory` (a folder of studies: constraints, post-mortems,
money, questions), `lint` (reported numbers that cannot be read), `protocol` (why a study is not sealed, run or
scored), `statistics` (questions that get no answer), `statuses` (why a value or a matrix is not there, and flags on
values that are), `findings` (what a scan reports), `drift` (where a record disagrees with itself).
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from tollens.core.codes.claims import CLAIMS
from tollens.core.codes.code import Code
from tollens.core.codes.drift import DRIFT
from tollens.core.codes.errors import ERRORS
from tollens.core.codes.findings import FINDINGS
from tollens.core.codes.imports import IMPORTS
from tollens.core.codes.laboratory import LABORATORY
from tollens.core.codes.lint import LINT
from tollens.core.codes.protocol import PROTOCOL
from tollens.core.codes.statistics import STATISTICS
from tollens.core.codes.statuses import STATUSES
from tollens.core.errors import TollensError

__all__ = ["CODES", "Code", "explain"]


def _merged(*themes: Mapping[str, Code]) -> dict[str, Code]:
    merged: dict[str, Code] = {}
    for theme in themes:
        twice = sorted(merged.keys() & theme.keys())
        if twice:
            raise ValueError(f"codes listed under two themes: {twice}")
        merged.update(theme)
    return merged


CODES: dict[str, Code] = _merged(
    ERRORS, CLAIMS, IMPORTS, LABORATORY, LINT, PROTOCOL, STATISTICS, STATUSES, FINDINGS, DRIFT
)  # fmt: skip


def explain(code: str) -> Code:
    """The explanation of `code`, in any case; a detail after a colon, as in `dequantised:fp8`, is left out.

    Raises TollensError `unknown_code`, naming the nearest codes, where there is none.
    """
    found = CODES.get(code[:80].lower().partition(":")[0])
    if found is not None:
        return found
    near = get_close_matches(code[:80].lower(), CODES, n=3, cutoff=0.5)
    raise TollensError(
        "unknown_code",
        repr(code[:80]),
        expected=f"one of {len(CODES)} known codes",
        found="no such code",
        fix=f"Nearest: {', '.join(near)}." if near else "Codes stand in front of every error and finding.",
    )
