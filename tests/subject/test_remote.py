"""Checkpoints at URLs over real sockets: what is read is what a local scan reads, and every byte crosses once."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from benchmarks.range_server import Handler, Server, fixed, serving
from safetensors.numpy import save_file
from tests.dask_cluster import dask_cluster
from tests.subject.torch_files import View, saved

from tollens.core.errors import TollensError
from tollens.pool.cluster import cluster
from tollens.pool.local import processes
from tollens.run.diff import diff
from tollens.run.factor_layer import FactorTask, measure_factors
from tollens.run.machine import bits
from tollens.run.scan import scan
from tollens.run.series import series
from tollens.run.settings import ScanSettings
from tollens.subject import remote
from tollens.subject.checkpoint import open_checkpoint
from tollens.subject.matrices import matrices
from tollens.subject.place import Url
from tollens.subject.roles import Role
from tollens.subject.ties import ties

pytest.importorskip("fsspec")

SETTINGS = ScanSettings(bootstrap=10, null_draws=5, shuffles=2)
ROWS, COLS = 512, 1024


def checkpoint(folder: Path, count: int = 10, shards: int = 3, **more: Any) -> Path:
    """Matrices of 2 MiB each in several files, with an index and a configuration."""
    rng = np.random.default_rng(0)
    index = {}
    for shard in range(shards):
        name = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        tensors = {
            f"model.layers.{i}.mlp.up_proj.weight": rng.standard_normal((ROWS, COLS), dtype=np.float32)
            for i in range(shard, count, shards)
        }
        tensors |= more if shard == 0 else {}
        save_file(tensors, folder / name)
        index |= dict.fromkeys(tensors, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    (folder / "config.json").write_text('{"hidden_size": 1024, "num_attention_heads": 8}')
    return folder


def served(folder: Path, handler: type[Handler] | None = None) -> Server:
    return Server({f"model/{path.name}": fixed(path.read_bytes()) for path in folder.iterdir()}, handler)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(served(checkpoint(tmp_path))) as running:
        yield running


def test_a_remote_scan_is_the_local_one_and_reads_every_byte_once(server: Server, tmp_path: Path) -> None:
    here = scan(tmp_path, SETTINGS)
    far = scan(f"{server.address}/model", SETTINGS)
    assert far.layers == here.layers
    assert far.skipped == here.skipped
    assert far.summary == here.summary
    analysed = 10 * 4 * ROWS * COLS
    assert analysed <= server.sent <= 1.02 * analysed


def test_workers_read_for_themselves(server: Server, tmp_path: Path) -> None:
    here = scan(tmp_path, SETTINGS)
    with processes(2) as mapped:
        far = scan(f"{server.address}/model/", SETTINGS, map_fn=mapped)
    assert far.layers == here.layers
    assert server.sent <= 1.02 * 10 * 4 * ROWS * COLS


def test_workers_of_a_cluster_read_for_themselves(server: Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("distributed")
    url, tail = f"{server.address}/model", ScanSettings(only="tail")
    here = scan(url, tail)
    before = server.sent
    with (
        dask_cluster(tmp_path_factory.mktemp("dask"), "--nworkers", "2", "--nthreads", "1") as made,
        cluster(made.address, bits) as mapped,
    ):
        assert scan(url, tail, map_fn=mapped) == here
    assert server.sent - before <= 1.02 * 10 * 4 * ROWS * COLS


def test_threads_read_at_the_same_time(server: Server, tmp_path: Path) -> None:
    here = {view.name: view.load() for view in matrices(open_checkpoint(tmp_path)).matrices}
    views = matrices(open_checkpoint(f"{server.address}/model")).matrices
    found: dict[str, Any] = {}

    def load(part: list[Any]) -> None:
        for view in part:
            with view.nearby() as near:
                found[view.name] = near.load()

    threads = [threading.Thread(target=load, args=(views[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.keys() == here.keys()
    assert all(np.array_equal(found[name], here[name]) for name in here)


def test_the_digest_is_of_what_was_read(server: Server, tmp_path: Path) -> None:
    url = f"{server.address}/model"
    tail = ScanSettings(only="tail")
    first = scan(url, tail).subject
    assert re.fullmatch("sha256-tensors:[0-9a-f]{64}", first.digest)
    assert first.path == url
    with processes(2) as mapped:
        assert scan(url, tail, map_fn=mapped).subject == first
    assert scan(url, ScanSettings(only="tail", layers="*.0.*")).subject.digest != first.digest
    name = "model-00003-of-00003.safetensors"
    changed = bytearray((tmp_path / name).read_bytes())
    changed[-1] ^= 1
    server.files[f"model/{name}"] = fixed(bytes(changed))
    assert scan(url, tail).subject.digest != first.digest


def test_the_digest_covers_the_configuration(server: Server) -> None:
    tail = ScanSettings(only="tail")
    first = scan(f"{server.address}/model", tail).subject.digest
    server.files["model/config.json"] = fixed(b'{"hidden_size": 1024, "num_attention_heads": 4}')
    assert scan(f"{server.address}/model", tail).subject.digest != first


def adapter(folder: Path, alpha: float, stored: bool = False) -> None:
    """One pair of factors, whose scaling stands in its configuration or beside the factors."""
    rng = np.random.default_rng(0)
    pair = {
        "base_model.model.x.lora_A.weight": rng.standard_normal((4, 300), dtype=np.float32),
        "base_model.model.x.lora_B.weight": rng.standard_normal((200, 4), dtype=np.float32),
    }
    if stored:
        pair["base_model.model.x.alpha"] = np.array(alpha, dtype=np.float32)
    else:
        (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": alpha}, allow_nan=False))
    save_file(pair, folder / "adapter_model.safetensors")


def test_factors_are_fetched_once_in_large_ranges(tmp_path: Path) -> None:
    """1.5 MiB for each factor, which are decoded in chunks of 1 MiB."""
    rng = np.random.default_rng(0)
    pair = {f"x.lora_{half}.weight": rng.standard_normal(shape, dtype=np.float32)
            for half, shape in (("A", (4, 98_304)), ("B", (98_304, 4)))}  # fmt: skip
    save_file(pair, tmp_path / "m.safetensors")
    with serving(served(tmp_path)) as server:
        [view] = matrices(open_checkpoint(f"{server.address}/model/m.safetensors")).factors
        server.sent, server.asked = 0, []
        with view.nearby() as near:
            b, a = near.load_factors()
            np.testing.assert_array_equal(near.load_factors()[0], b)
        assert server.sent == 2 * 4 * 4 * 98_304
        assert len(server.asked) == 2
        server.asked = []
        measure_factors(FactorTask(view, 0, ScanSettings(null_draws=0)))
        assert len(server.asked) == 2
    np.testing.assert_array_equal(a, pair["x.lora_A.weight"])
    np.testing.assert_array_equal(b, pair["x.lora_B.weight"])


@pytest.mark.parametrize("stored", [False, True])
def test_the_digest_covers_the_scaling_of_an_adapter(tmp_path: Path, stored: bool) -> None:
    found = []
    for alpha in (4.0, 8.0):
        adapter(tmp_path, alpha, stored)
        with serving(served(tmp_path)) as server:
            report = scan(f"{server.address}/model", SETTINGS)
            assert report.layers[0].gamma == alpha / 4
            found.append((report.layers[0].digest, report.subject.digest))
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


def test_parts_of_one_tensor_read_their_own_bytes(tmp_path: Path) -> None:
    """q, k and v one after another, of which one is asked for."""
    rng = np.random.default_rng(0)
    fused = {"model.layers.0.self_attn.qkv_proj.weight": rng.standard_normal((3 * 64, 64), dtype=np.float32)}
    save_file(fused, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"hidden_size": 64, "num_attention_heads": 4, "model_type": "phi3"}')
    with serving(served(tmp_path)) as server:
        views = matrices(open_checkpoint(f"{server.address}/model")).matrices
        before, [k] = server.sent, [v for v in views if v.name.endswith("[k]")]
        with k.nearby() as near:
            found = near.load()
        assert server.sent - before == 64 * 64 * 4
    np.testing.assert_array_equal(found, fused["model.layers.0.self_attn.qkv_proj.weight"][64:128])


def test_parts_whose_bytes_are_mixed_share_what_was_read(tmp_path: Path) -> None:
    """GPT-2 keeps q, k and v as column blocks: one pass over the tensor serves all three, twice each."""
    rng = np.random.default_rng(0)
    fused = {"h.0.attn.c_attn.weight": rng.standard_normal((64, 192), dtype=np.float32)}
    save_file(fused, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"n_embd": 64, "n_head": 4, "model_type": "gpt2"}')
    with serving(served(tmp_path)) as server:
        views = matrices(open_checkpoint(f"{server.address}/model")).matrices
        assert [v.name[-3:] for v in views] == ["[q]", "[k]", "[v]"]
        before = server.sent
        for view in views:
            with view.nearby() as near:
                np.testing.assert_array_equal(near.load(), near.load())
        assert server.sent - before == 64 * 192 * 4
        assert scan(f"{server.address}/model", SETTINGS).layers == scan(tmp_path, SETTINGS).layers


def test_a_matrix_that_is_no_tie_costs_a_few_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ends = {name: rng.standard_normal((8192, 64), dtype=np.float32) for name in ("e", "h")}
    save_file(ends, tmp_path / "model.safetensors")
    with serving(served(tmp_path)) as server:
        checkpoint = open_checkpoint(f"{server.address}/model")
        before = server.sent
        assert ties(checkpoint, checkpoint.tensors, {"e": Role("embedding"), "h": Role("head")}) == ({}, frozenset())
        assert server.sent - before == 2 * 4096


def npz(path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(path, **{f"a{i}": rng.standard_normal((128, 512)) for i in range(3)})


def torch(path: Path) -> None:
    """One tensor as it lies and one transposed."""
    data = np.random.default_rng(0).standard_normal((256, 512), dtype=np.float32)
    size = data.size
    views = {"a": View("0", "F32", size, (256, 512)), "b": View("1", "F32", size, (512, 256), (1, 512))}
    path.write_bytes(saved(views, {"0": data.tobytes(), "1": data[::-1].tobytes()}))


def quantised(path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, "llama")
    for i in range(2):
        values = np.random.default_rng(i).standard_normal((256, 1024), dtype=np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(f"blk.{i}.ffn_up.weight", gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize(("write", "name"), [(npz, "m.npz"), (torch, "pytorch_model.bin"), (quantised, "m.gguf")])
def test_every_format_is_read_by_ranges(write: Callable[[Path], None], name: str, tmp_path: Path) -> None:
    write(tmp_path / name)
    here = scan(tmp_path / name, SETTINGS)
    with serving(served(tmp_path)) as server:
        far = scan(f"{server.address}/model/{name}", SETTINGS)
        assert server.sent < (tmp_path / name).stat().st_size + 3 * 65_536  # directories and windows on headers
        assert max(end - begin for _, asked in server.asked if asked for begin, end in [asked]) <= remote.BLOCK
    assert len(here.layers) >= 2
    assert far.layers == here.layers
    assert far.notes == here.notes


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("model", "folder"),
        ("model/", "folder"),
        ("model/config.json", "file"),
        ("model/?sig=a/b.safetensors", "folder"),
    ],
)
def test_kind(server: Server, path: str, kind: str) -> None:
    assert remote.kind(Url(f"{server.address}/{path}")) == kind


def test_an_adapter_that_torch_saved(server: Server) -> None:
    halves = np.ones((2, 8), dtype=np.float32)
    pair = {"q.lora_A.weight": View("0", "F32", 16, (2, 8)), "q.lora_B.weight": View("1", "F32", 16, (8, 2))}
    server.files["lora/adapter_model.bin"] = fixed(saved(pair, {key: halves.tobytes() for key in "01"}))
    server.files["lora/adapter_config.json"] = fixed(b'{"r": 2, "lora_alpha": 4}')
    opened = open_checkpoint(f"{server.address}/lora")
    assert opened.files == ("adapter_model.bin", "adapter_config.json")
    assert [view.gamma for view in matrices(opened).factors] == [2.0]


def test_an_empty_file(server: Server) -> None:
    server.files["model/empty.safetensors"] = fixed(b"")
    with pytest.raises(TollensError, match="empty_file"):
        open_checkpoint(f"{server.address}/model/empty.safetensors")


def test_what_is_not_there(server: Server) -> None:
    for path in ("other", "model/other.safetensors"):
        with pytest.raises(TollensError, match="path_missing"):
            open_checkpoint(f"{server.address}/{path}")
    assert not remote.exists(Url(f"{server.address}/model/other"))


class Strict(Handler):
    """A server that answers with `status` for every file that it has not, and for those in `broken`."""

    status = 400
    broken: frozenset[str] = frozenset()

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        if self.path.lstrip("/") in self.server.files and name not in self.broken:
            super().do_GET()
        else:
            self.give(self.status, b"")


@pytest.mark.parametrize("status", [400, 403, 405])
def test_an_optional_file_that_a_server_declines_to_give_is_not_there(tmp_path: Path, status: int) -> None:
    adapter(tmp_path, 4.0)
    strict = type("Stricter", (Strict,), {"status": status, "broken": frozenset({"adapter_config.json"})})
    with serving(served(tmp_path, strict)) as server:
        found = open_checkpoint(f"{server.address}/model/adapter_model.safetensors")
        assert (found.config, found.adapter, len(found.tensors)) == (None, None, 2)
        with pytest.raises(TollensError) as caught:
            open_checkpoint(f"{server.address}/model/other.safetensors")
        assert caught.value.code == ("path_unreadable" if status == 403 else "remote_failed")
        if status != 403:
            with pytest.raises(TollensError, match=f"status {status}"):  # of the names of weights it may hold one
                open_checkpoint(f"{server.address}/model/")


def test_an_optional_file_of_a_server_that_fails_is_not_taken_for_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PATIENCE", remote.Patience(again=0))
    adapter(tmp_path, 4.0)
    failing = type("Failing", (Strict,), {"status": 503, "broken": frozenset({"adapter_config.json"})})
    with serving(served(tmp_path, failing)) as server, pytest.raises(TollensError, match="status 503"):
        open_checkpoint(f"{server.address}/model/adapter_model.safetensors")


def test_a_signed_address_is_sent_as_it_is_and_never_shown(server: Server) -> None:
    query = "X-Amz-Signature=ab%2Fcd%2B1&x=%20"
    address = server.address.replace("://", "://user:hunter2@")
    name = "model-00002-of-00003.safetensors"
    seen: list[str] = []
    handler = server.RequestHandlerClass
    original = handler.do_GET

    class Watching(handler):
        def do_GET(self) -> None:
            seen.append(self.path + " " + self.headers.get("Authorization", ""))
            original(self)

    server.RequestHandlerClass = Watching
    report = scan(f"{address}/model/{name}?{query}", ScanSettings(only="tail"))
    assert all(f"?{query} Basic dXNlcjpodW50ZXIy" in line for line in seen)
    assert report.subject.path == f"{server.address}/model/{name}"
    signed = f"{address}/model/{name}?{query}"
    told = diff(signed, signed)
    assert (told.base.path, told.derived.path) == (report.subject.path, report.subject.path)
    url = Url(f"{address}/model/none.safetensors?{query}#part")
    with pytest.raises(TollensError) as caught:
        open_checkpoint(url.text)
    for text in (str(caught.value), repr(url), str(url)):
        assert "hunter2" not in text
        assert "Signature" not in text
        assert "none.safetensors" in text
    assert pickle.loads(pickle.dumps(url)).text == url.text


def test_a_difference_and_a_series_show_no_credentials(server: Server, tmp_path: Path) -> None:
    far = server.address.replace("://", "://user:hunter2@") + "/model?X-Signature=ab"
    found = diff(tmp_path, far)
    assert (found.verdict, found.derived.path) == (diff(tmp_path, tmp_path).verdict, f"{server.address}/model")
    for step in (1, 2):
        server.files |= {f"step-{step}/{path.name}": fixed(path.read_bytes()) for path in tmp_path.iterdir()}
    followed = series([far.replace("model", f"step-{step}") for step in (1, 2)], ScanSettings(only="tail"))
    for report in (found, followed):
        text = msgspec.json.encode(report).decode()
        assert "hunter2" not in text
        assert "Signature" not in text


def test_headers_come_from_the_configuration_of_fsspec(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.config import conf

    seen: list[str | None] = []
    handler = server.RequestHandlerClass

    class Watching(handler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("X-Token"))
            handler.do_GET(self)

    server.RequestHandlerClass = Watching
    monkeypatch.setitem(conf, "http", {"headers": {"X-Token": "t"}})
    open_checkpoint(f"{server.address}/model")
    assert set(seen) == {"t"}


def test_pages_are_no_files(server: Server) -> None:
    """Many servers answer with a page for what is not there."""
    handler = server.RequestHandlerClass

    class Talking(handler):
        def give(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
            page = {"Content-Type": "text/html; charset=utf-8"}
            handler.give(self, 200, b"<html>", page) if status == 404 else handler.give(self, status, body, headers)

    server.RequestHandlerClass = Talking
    assert len(open_checkpoint(f"{server.address}/model").tensors) == 10
    with pytest.raises(TollensError, match=r"path_missing.*a web page"):
        open_checkpoint(f"{server.address}/other")


def test_an_object_store(tmp_path: Path) -> None:
    """The memory of fsspec has folders, versions and ranges as buckets have."""
    import fsspec

    here = checkpoint(tmp_path, count=2, shards=2)
    store = fsspec.filesystem("memory")
    store.put(str(here), "/bucket/model", recursive=True)
    try:
        for url in ("memory://bucket/model", "memory://bucket/model/model.safetensors.index.json"):
            far = scan(url, SETTINGS)
            assert far.layers == scan(here, SETTINGS).layers
        assert remote.listing(Url("memory://bucket/model")) == sorted(p.name for p in here.iterdir())
        with pytest.raises(TollensError, match="path_missing"):
            open_checkpoint("memory://bucket/other")
        with pytest.raises(TollensError, match="path_not_a_file"), remote.opened(Url("memory://bucket/model")):
            pass
        opened = open_checkpoint("memory://bucket/model")
        shard = "/bucket/model/model-00001-of-00002.safetensors"
        store.pipe_file(shard, store.cat_file(shard) + b"\0")
        with pytest.raises(TollensError, match="changed_while_reading"):
            opened.read("model.layers.0.mlp.up_proj.weight")
    finally:
        store.rm("/bucket", recursive=True)


def test_an_object_that_changes_while_it_is_open() -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe_file("/bucket/a", b"1234")
    try:
        with pytest.raises(TollensError, match="changed_while_reading"), remote.opened(Url("memory://bucket/a")):
            store.pipe_file("/bucket/a", b"12345")
    finally:
        store.rm("/bucket", recursive=True)


def test_a_file_url_is_a_path(tmp_path: Path) -> None:
    save_file({"w": np.eye(4, dtype=np.float32)}, tmp_path / "a b.safetensors")
    found = open_checkpoint(f"file://{tmp_path}/a%20b.safetensors")
    assert found.path == tmp_path / "a b.safetensors"


@pytest.mark.parametrize(
    "url",
    [
        "simplecache::memory://a", "zip://a::http://u:hunter2@127.0.0.1/b.zip", "memory://a::http://u:hunter2@127.0.0.1/b",
        "hf://org/model", "ssh://host/a", "ftp://u:hunter2@host/a", "data://,a",
    ],
)  # fmt: skip
def test_protocols_that_are_not_opened(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(TollensError, match="protocol_unsupported") as caught:
        open_checkpoint(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("protocol", "package"), [("s3", "s3fs"), ("gs", "gcsfs"), ("az", "adlfs")])
def test_a_protocol_whose_package_is_missing_names_it(
    protocol: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.registry import _registry

    _registry.pop(protocol, None)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(TollensError, match=f"protocol_package_missing.*pip install {package}"):
        open_checkpoint(f"{protocol}://bucket/model.safetensors")


@pytest.mark.parametrize("module", ["fsspec", "aiohttp"])
def test_without_the_extra_its_command_is_named(module: str) -> None:
    code = f"""
import sys
from importlib.abc import MetaPathFinder
class Without(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {module!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Without())
from tollens.core.errors import TollensError
from tollens.subject.checkpoint import open_checkpoint
try:
    open_checkpoint("http://127.0.0.1/model.safetensors")
except TollensError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("extra_missing: http://127.0.0.1/model.safetensors")
    assert "pip install 'tollens[remote]'" in run.stdout


def test_a_local_scan_loads_no_fsspec(tmp_path: Path) -> None:
    save_file({"w": np.eye(4, dtype=np.float32)}, tmp_path / "m.safetensors")
    code = f"""
import sys
from tollens.run.scan import scan
from tollens.run.series import series
scan({str(tmp_path / "m.safetensors")!r})
print(*({{"fsspec", "aiohttp", "asyncio"}} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "\n"
