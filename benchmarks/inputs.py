"""Synthetic checkpoints, made once in a child process and kept in out/bench.

    python -m benchmarks.inputs FOLDER COUNT ROWS COLS LAW [SHARDS]

LAW is `gaussian`, which the screen clears without a shuffle; `student6` (6 degrees of freedom), which it does
not clear and which has no trap; or `student3`, whose large elements make about 14 traps at 4096 x 4096.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.table import OUT


def checkpoint(count: int, rows: int, cols: int, law: str = "gaussian", shards: int = 1) -> Path:
    """Folder of a checkpoint with `count` float32 tensors rows x cols; this process never holds one."""
    folder = OUT / "inputs" / f"{law}_{count}x{rows}x{cols}_{shards}"
    if not (folder / "done").exists():
        arguments = [str(folder), str(count), str(rows), str(cols), law, str(shards)]
        subprocess.run([sys.executable, "-m", "benchmarks.inputs", *arguments], check=True)
    return folder


def single(rows: int, cols: int, law: str = "gaussian") -> Path:
    """A file with one tensor."""
    return checkpoint(1, rows, cols, law) / "model.safetensors"


def _write(folder: Path, count: int, rows: int, cols: int, law: str, shards: int) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    names, index = [f"layers.{i}.weight" for i in range(count)], {}
    for shard in range(shards):
        file = "model.safetensors" if shards == 1 else f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        tensors = {}
        for i in range(shard, count, shards):
            rng = np.random.default_rng([i, rows, cols])
            if law == "gaussian":
                matrix = rng.standard_normal((rows, cols), dtype=np.float32)
            else:
                matrix = rng.standard_t(float(law.removeprefix("student")), (rows, cols)).astype(np.float32)
            tensors[names[i]] = matrix / np.float32(np.sqrt(max(rows, cols)))
            index[names[i]] = file
        save_file(tensors, folder / file)
    if shards > 1:
        size = 4 * count * rows * cols
        text = json.dumps({"metadata": {"total_size": size}, "weight_map": index})
        (folder / "model.safetensors.index.json").write_text(text)
    (folder / "done").touch()


if __name__ == "__main__":
    _write(
        Path(sys.argv[1]),
        int(sys.argv[2]),
        int(sys.argv[3]),
        int(sys.argv[4]),
        sys.argv[5],
        int(sys.argv[6]),
    )
