"""The 39 matrices of all-MiniLM-L6-v2: the compatible columns beside what WeightWatcher prints.

    python -m benchmarks.agreement [--quick]

WeightWatcher names a layer by its tensor without `.weight`; `--quick` compares the tail and norms only,
without its bulk fit and log-determinant. Columns that need a permutation are one draw there and are not
compared.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import minilm
from benchmarks.process import measure, peer_python, tollens
from benchmarks.table import OUT, Line, show

TOLERANCE = 1e-9
REQUIRED = ("alpha", "xmin", "D", "norm", "spectral_norm", "log_norm", "log_spectral_norm", "stable_rank")
ALSO = (
    "xmax",
    "sigma",
    "num_pl_spikes",
    "alpha_weighted",
    "log_alpha_norm",
    "matrix_rank",
    "entropy",
    "rank_loss",
    "sigma_mp",
    "num_spikes",
    "mp_softrank",
    "detX_num",
    "ERG_gap",
    "warning",
)
MATRICES = 39
SENTENCES = 30


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    path = minilm.weights()
    if path is None:
        show(
            "agreement: compatible columns",
            [Line("MiniLM", "-", "not run", None, f"needs {minilm.INSTALL}")],
        )
        return
    theirs = _peer(path, given.threads, () if given.quick else ("--mp-fit", "--detx"))
    ours = _scan(path, given.threads, "--precision", "f64", "--columns", "weightwatcher")
    layers = {layer["name"].removesuffix(".weight"): layer for layer in ours["layers"]}
    missing = sorted(set(theirs) - set(layers))
    lines = [
        Line(
            "matrices compared",
            str(MATRICES),
            str(len(theirs) - len(missing)),
            len(theirs) == MATRICES and not missing,
            ", ".join(missing),
        )
    ]
    for column in REQUIRED + ALSO:
        pairs = {
            name: (layers[name].get("ww", {}).get(column), row[column])
            for name, row in theirs.items()
            if name in layers and column in row
        }
        if not pairs:
            continue
        errors = {name: _difference(*pair) for name, pair in pairs.items()}
        worst = max(errors, key=lambda name: errors[name])
        target = f"<= {TOLERANCE:.0e}" if column in REQUIRED else "-"
        met = errors[worst] <= TOLERANCE
        lines.append(
            Line(
                f"ww.{column}",
                target,
                "absent" if pairs[worst][0] is None else f"{errors[worst]:.1e}",
                met if column in REQUIRED or not met else None,
                "" if met else f"{worst}: {pairs[worst]}",
            )
        )
    sentences = _scan(path, given.threads)
    told = [layer for layer in sentences["layers"] if any(c.isdigit() for c in str(layer.get("sentence", "")))]
    met = len(told) >= SENTENCES
    lines.append(Line("layers with a sentence that names a number", f">= {SENTENCES}", str(len(told)), met))
    notes = ["largest relative difference; tollens scan --precision f64 --columns weightwatcher"]
    show("agreement: compatible columns on all-MiniLM-L6-v2", lines, notes)


def _scan(path: Path, threads: int, *options: str) -> dict[str, Any]:
    out = OUT / "agreement_ours.json"
    run = measure(tollens("scan", str(path), "--json", "--quiet", *options), threads, out)
    if run.status not in (0, 1, 11):
        raise RuntimeError(f"exit status {run.status}")
    report: dict[str, Any] = json.loads(out.read_text())
    return report


def _peer(path: Path, threads: int, options: Sequence[str]) -> dict[str, dict[str, Any]]:
    out = OUT / "agreement_peer.json"
    script = str(Path(__file__).with_name("peer_weightwatcher.py"))
    run = measure([peer_python(), script, str(path), "--json", str(out), *options], threads)
    if run.status:
        raise RuntimeError(f"exit status {run.status} of {script}")
    return {row["name"]: row for row in json.loads(out.read_text())["rows"]}


def _difference(ours: Any, theirs: Any) -> float:
    if isinstance(theirs, str) or isinstance(ours, str) or ours is None:
        return 0.0 if ours == theirs else sys.float_info.max
    return abs(ours - theirs) / max(abs(theirs), 1e-300) if theirs else abs(ours)


if __name__ == "__main__":
    main()
