"""Run WeightWatcher once over a checkpoint and say what it printed and how long each part took.

    python benchmarks/peer_weightwatcher.py PATH [--randomize] [--mp-fit] [--detx] [--json OUT]

PATH is a safetensors file. It is handed over as a state dict, which WeightWatcher reads natively: a dict
already in memory is the cheapest way in, since it neither builds modules nor opens the file once per
tensor. Progress bars, log lines and plots are off. The thread count is whatever the environment says
(OPENBLAS_NUM_THREADS, OMP_NUM_THREADS).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--randomize", action="store_true")
    parser.add_argument("--mp-fit", action="store_true")
    parser.add_argument("--detx", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()

    start = time.perf_counter()
    import logging

    import matplotlib

    matplotlib.use("Agg")
    logging.disable(logging.CRITICAL)
    import torch
    import weightwatcher
    from safetensors.torch import load_file

    imported = time.perf_counter()
    threads = torch.get_num_threads()
    state = load_file(given.path)
    loaded = time.perf_counter()
    watcher = weightwatcher.WeightWatcher(model=state)
    details = watcher.analyze(
        randomize=given.randomize, mp_fit=given.mp_fit, detX=given.detx, plot=False, savefig=False
    )
    done = time.perf_counter()

    rows = [
        {key: value for key, value in row.items() if not (isinstance(value, float) and math.isnan(value))}
        for row in details.to_dict(orient="records")
    ]
    report = {
        "weightwatcher": weightwatcher.__version__,
        "torch_threads": threads,
        "seconds": {"import": imported - start, "load": loaded - imported, "analyze": done - loaded},
        "rows": rows,
    }
    text = json.dumps(report, default=_plain)
    if given.json:
        given.json.write_text(text)
    else:
        sys.stdout.write(text + "\n")


def _plain(value: object) -> object:
    return value.item() if hasattr(value, "item") else str(value)


if __name__ == "__main__":
    main()
