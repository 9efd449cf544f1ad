"""Write tests/golden/weightwatcher_0_7_7.json: what WeightWatcher prints about a few seeded matrices.

    python benchmarks/make_golden.py

Needs the `bench` extra. The legacy generator, from which WeightWatcher draws its permutations without a
seed, is seeded before each matrix, so that a test can draw the same permutations and compare those
columns too.
"""

from __future__ import annotations

import json
import logging
import math
import sys
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parents[1] / "tests" / "golden"
sys.path.insert(0, str(GOLDEN))

from matrices import SHUFFLE_SEED, checksum, matrices  # noqa: E402

PRINTED = (
    "alpha",
    "D",
    "xmin",
    "xmax",
    "sigma",
    "num_pl_spikes",
    "alpha_weighted",
    "log_alpha_norm",
    "norm",
    "log_norm",
    "spectral_norm",
    "log_spectral_norm",
    "stable_rank",
    "matrix_rank",
    "entropy",
    "rank_loss",
    "sigma_mp",
    "num_spikes",
    "mp_softrank",
    "num_traps",
    "max_rand_eval",
    "rand_distance",
    "ww_softrank",
    "ww_maxdist",
    "detX_num",
    "ERG_gap",
    "warning",
    "status",
)


def main() -> None:
    logging.disable(logging.CRITICAL)
    import matplotlib

    matplotlib.use("Agg")
    import torch
    import weightwatcher

    cases = {}
    for name, matrix in matrices().items():
        np.random.seed(SHUFFLE_SEED)  # noqa: NPY002
        watcher = weightwatcher.WeightWatcher(model={f"{name}.weight": torch.from_numpy(matrix)})
        details = watcher.analyze(randomize=True, mp_fit=True, detX=True, plot=False, savefig=False)
        row = details.to_dict(orient="records")[0]
        columns = {key: _plain(row[key]) for key in PRINTED if key in row}
        cases[name] = {"shape": list(matrix.shape), "sha256": checksum(matrix), "columns": columns}
    golden = {
        "made_by": "benchmarks/make_golden.py",
        "weightwatcher": weightwatcher.__version__,
        "numpy": np.__version__,
        "torch": torch.__version__,
        "shuffle_seed": SHUFFLE_SEED,
        "cases": cases,
    }
    text = json.dumps(golden, indent=1, allow_nan=False) + "\n"
    (GOLDEN / "weightwatcher_0_7_7.json").write_text(text)


def _plain(value: object) -> object:
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
