"""One scan of a small checkpoint that holds every kind of layer a page has to show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tollens.run.result import ScanReport
from tollens.run.scan import scan
from tollens.run.settings import ScanSettings

SCRIPT = "<script>document.body.id='owned'</script>.weight"
IMAGE = '"><img src=x onerror="document.body.id=\'owned\'">.weight'
QUICK = ScanSettings(bootstrap=30, null_draws=20, shuffles=3)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(11)
    trapped = rng.standard_normal((96, 160))
    trapped[3, 5] = 60.0
    broken = rng.standard_normal((40, 40))
    broken[1, 2] = np.nan
    tensors = {
        "model.layers.0.self_attn.q_proj.weight": trapped,
        "model.layers.0.mlp.up_proj.weight": rng.standard_t(2.5, (64, 200)),
        SCRIPT: rng.standard_normal((64, 64)) + 0.3,
        IMAGE: rng.standard_normal((128, 64)),
        "dead.weight": np.zeros((32, 32)),
        "broken.weight": broken,
        "tiny.weight": rng.standard_normal((4, 6)),
        "orthogonal.weight": np.linalg.qr(rng.standard_normal((48, 48)))[0],
        "model.norm.weight": np.ones(64),
        "<b>bias</b>": np.ones(7),
    }
    path = tmp_path_factory.mktemp("scanned") / "model & <co>.safetensors"
    save_file({name: np.ascontiguousarray(w, dtype=np.float32) for name, w in tensors.items()}, path)
    return path


@pytest.fixture(scope="session")
def report(checkpoint: Path) -> ScanReport:
    return scan(str(checkpoint), QUICK, claim="all(stable_rank >= 8)")
