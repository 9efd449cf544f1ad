"""Roles against golden lists of real parameter names, and what must stay unmatched."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollens.subject.families import MODEL_TYPES, PREFIXES, SCALES, TABLES
from tollens.subject.family import Fused, Inner, Kind
from tollens.subject.roles import (
    NOT_A_WEIGHT,
    UNMATCHED,
    Role,
    _compile,
    _compile_pattern,
    _parse,
    assign,
    family_of,
    strip_prefixes,
)
from tollens.subject.tensor import TensorInfo


class Golden(NamedTuple):
    """One published checkpoint: some of its tensors with the roles they have."""

    family: str
    checkpoint: str
    model_type: str | None
    by_names: str
    tensors: tuple[TensorInfo, ...]
    roles: dict[str, Role]

    @property
    def config(self) -> dict[str, Any] | None:
        return None if self.model_type is None else {"model_type": self.model_type}


def tensor(name: str, *shape: int, dtype: str = "F32") -> TensorInfo:
    return TensorInfo(name, shape, dtype, "model.safetensors", 0, 0)


def _value(text: str) -> str | int | None:
    if text == "-":
        return None
    return int(text) if text.isdecimal() else text


def _read(path: Path) -> list[Golden]:
    found: list[Golden] = []
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            checkpoint, model_type, by_names = line.split("  ")
            found.append(Golden(path.stem, checkpoint, None if model_type == "-" else model_type, by_names, (), {}))
            continue
        name, shape, dtype, kind, *rest = line.split("  ")
        sides = () if shape == "()" else tuple(int(s) for s in shape.split("x"))
        layer, expert, fused, inner = (_value(text) for text in rest)
        role = Role(kind, None if kind == "unmatched" else path.stem, layer, expert, fused, inner)  # type: ignore[arg-type]
        last = found[-1]
        found[-1] = last._replace(
            tensors=(*last.tensors, tensor(name, *sides, dtype=dtype)), roles={**last.roles, name: role}
        )
    return found


GOLDEN = [g for path in sorted((Path(__file__).parent / "golden").glob("*.txt")) for g in _read(path)]
each_golden = pytest.mark.parametrize("golden", GOLDEN, ids=lambda g: f"{g.family}{g.checkpoint}")


def without_family(roles: dict[str, Role]) -> list[tuple[object, ...]]:
    return [(r.kind, r.layer, r.expert, r.fused, r.inner) for r in roles.values()]


def test_every_family_has_a_golden_list() -> None:
    assert {g.family for g in GOLDEN} == {t.family for t in TABLES}
    assert all(len(g.tensors) == len(g.roles) >= 9 for g in GOLDEN)


@each_golden
def test_golden_names_with_their_config(golden: Golden) -> None:
    assert assign(golden.tensors, golden.config) == golden.roles


@each_golden
def test_golden_names_alone(golden: Golden) -> None:
    """Families that name their tensors alike (Llama, Mistral, Gemma 1) differ in label only."""
    assert family_of(golden.tensors) == golden.by_names
    assert without_family(assign(golden.tensors)) == without_family(golden.roles)


@each_golden
def test_every_prefix_gives_the_same_roles(golden: Golden) -> None:
    for prefix in (*PREFIXES, "module.model.", "base_model.model.model."):
        wrapped = [tensor(prefix + t.name, *t.shape) for t in golden.tensors]
        for config in (None, golden.config):
            assert without_family(assign(wrapped, config)) == without_family(golden.roles)


def test_an_undeclared_prefix_is_not_stripped() -> None:
    assert strip_prefixes("module.model.layers.0.x") == "layers.0.x"
    assert strip_prefixes("student.model.layers.0.x") == "student.model.layers.0.x"
    llama = next(g for g in GOLDEN if g.family == "llama")
    renamed = [tensor("student." + t.name, *t.shape) for t in llama.tensors]
    assert set(assign(renamed, llama.config).values()) == {UNMATCHED}


@pytest.mark.parametrize("family", sorted({t.family for t in TABLES}))
def test_no_dead_pattern(family: str) -> None:
    """Every pattern of a family is the name of a tensor in one of its published checkpoints."""
    reached = {_parse(t.name).key for g in GOLDEN if g.family == family for t in g.tensors}
    patterns = {p for t in TABLES if t.family == family for row in t.rows for p in row.patterns}
    assert [p for p in sorted(patterns) if _compile_pattern(p)[0] not in reached] == []


def test_every_word_of_the_tables_is_reached() -> None:
    roles = [role for g in GOLDEN for role in g.roles.values()]
    assert {r.kind for r in roles} == set(get_args(Kind))
    assert {r.fused for r in roles} == {None, *get_args(Fused)}
    assert {r.inner for r in roles} == {None, *get_args(Inner)}
    names = [t.name for g in GOLDEN for t in g.tensors]
    assert all(any(n.endswith("." + scale) for n in names) for scale in SCALES)
    assert set(MODEL_TYPES.values()) | {"timm_vit", "llama_cpp"} == {t.family for t in TABLES}
    assert {"mask", "rotary", "buffer"} == NOT_A_WEIGHT


@pytest.mark.parametrize("family", sorted({t.family for t in TABLES}))
def test_tables_of_one_family_do_not_contradict_each_other(family: str) -> None:
    rows = dict.fromkeys(row for t in TABLES if t.family == family for row in t.rows)
    for entries in _compile(rows).values():
        outcomes: dict[object, object] = {}
        for e in entries:
            said = (e.kind, e.row.expert, e.row.fused, e.row.inner)
            assert outcomes.setdefault((e.slots, e.rank, e.row.aspect), said) == said


def test_mutated_names_lose_their_role() -> None:
    """A character put into a name of a matrix makes it unmatched, unless it only changed a number."""
    rng = np.random.default_rng(20)
    alphabet = list("abcdefghijklmnopqrstuvwxyzABCDLE0123456789._-# ")
    numbered = re.compile(r"\b(layers|layer|blocks|blk|experts|h)\\\.\d+\\\.")
    mutated_numbers = 0
    for golden in GOLDEN:
        truths = [
            (
                re.compile(numbered.sub(r"\1\\.(?:0|[1-9][0-9]*)\\.", re.escape(t.name))),
                golden.roles[t.name].kind,
            )
            for t in golden.tensors
        ]
        for _ in range(4):
            mutants: dict[str, TensorInfo] = {}
            for t in golden.tensors:
                at, letter = int(rng.integers(len(t.name) + 1)), str(rng.choice(alphabet))
                name = t.name[:at] + letter + t.name[at:]
                if len(t.shape) == 2 and name not in golden.roles:
                    mutants[name] = tensor(name, *t.shape)
            roles = assign([*golden.tensors, *mutants.values()], golden.config)
            assert {name: roles[name] for name in golden.roles} == golden.roles
            for name in mutants:
                kinds = {kind for truth, kind in truths if truth.fullmatch(name)}
                mutated_numbers += len(kinds)
                assert {roles[name].kind} == (kinds or {"unmatched"}), name
    assert mutated_numbers > 0


@pytest.mark.parametrize("number", ["01", "-1", "+1", "1.0", "²", "٣", "1_0", "", " 1", "L", "#", "9" * 5000])
def test_only_plain_numbers_are_layers(number: str) -> None:
    config = {"model_type": "llama"}
    names = ["model.layers.0.self_attn.q_proj.weight", f"model.layers.{number}.self_attn.k_proj.weight"]
    roles = assign([tensor(n, 8, 8) for n in names], config)
    assert [r.kind for r in roles.values()] == ["q", "unmatched"]


def test_a_number_that_stands_for_itself() -> None:
    config = {"model_type": "vit"}
    names = ["encoder.layer.0.attention.attention.query.weight", "decoder.0.bias", "decoder.1.bias"]
    shapes = [(8, 8), (8,), (8,)]
    roles = assign([tensor(n, *s) for n, s in zip(names, shapes, strict=True)], config)
    assert [(r.kind, r.layer) for r in roles.values()] == [("q", 0), ("bias", None), ("unmatched", None)]


PLAIN = [
    *(tensor(f"{i}.weight", 32, 64) for i in range(4)),
    *(tensor(f"layers.{i}.weight", 32, 64) for i in range(4)),
    *(tensor(f"layers.{i}.bias", 32) for i in range(4)),
    tensor("fc1.weight", 64, 32),
    tensor("fc1.bias", 64),
    tensor("net.0.weight", 64, 32),
    tensor("conv1.weight", 8, 3, 3, 3),
    tensor("classifier.weight", 10, 64),
    tensor("head.weight", 10, 64),
    tensor("norm.weight", 64),
    tensor("lm_head.weight", 100, 64),
    tensor("embeddings.position_ids", 1, 512),
]


@pytest.mark.parametrize("config", [None, {}, {"model_type": "my_mlp"}, {"model_type": 3}])
def test_a_plain_network_is_unmatched(config: dict[str, Any] | None) -> None:
    """Names that several tables know, but no layer of any, make no family."""
    assert family_of(PLAIN, config) is None
    assert assign(PLAIN, config) == {t.name: UNMATCHED for t in PLAIN}


def test_layers_without_attention_make_no_family() -> None:
    mixer = [tensor(f"blocks.{i}.mlp.fc{j}.weight", 8, 8) for i in range(3) for j in (1, 2)]
    assert family_of(mixer) is None
    assert family_of([*mixer, tensor("blocks.0.attn.qkv.weight", 24, 8)]) == "timm_vit"


def test_a_name_of_the_wrong_rank_is_unmatched() -> None:
    config = {"model_type": "llama"}
    q = "model.layers.0.self_attn.q_proj.weight"
    assert assign([tensor(q, 8, 8)], config)[q].kind == "q"
    for shape in [(), (64,), (2, 8, 8)]:
        assert assign([tensor(q, *shape)], config)[q] == UNMATCHED


@pytest.mark.parametrize("golden", [g for g in GOLDEN if g.family in {"gpt2", "gpt_neox", "bert"}])
def test_a_config_of_another_family_yields_to_the_names(golden: Golden) -> None:
    for model_type in ("mixtral", "vit", "gpt_oss"):
        assert family_of(golden.tensors, {"model_type": model_type}) == golden.family


def test_a_config_wins_while_it_explains_the_attention() -> None:
    mistral = next(g for g in GOLDEN if g.model_type == "mistral")
    assert family_of(mistral.tensors, {"model_type": "gemma"}) == "gemma"
    assert family_of(mistral.tensors, {"model_type": "unheard_of"}) == "llama"


def test_a_config_that_explains_nothing_is_harmless() -> None:
    assert assign([tensor("a.b", 2, 2)], {"model_type": "llama"}) == {"a.b": UNMATCHED}
    assert assign([], {"model_type": "llama"}) == {}


def test_the_family_with_most_names_wins_not_the_one_with_most_patterns() -> None:
    eye = [t for g in GOLDEN if g.checkpoint == "[vit_base_patch16_224]" for t in g.tensors]
    text = [tensor(f"layers.{i}.self_attn.{part}_proj.weight", 8, 8) for i in range(30) for part in ("q", "k", "v")]
    assert family_of([*eye, *text[:4]]) == "timm_vit"
    assert len(text) > len(eye)
    assert family_of([*eye, *text]) == "olmo"  # the narrowest table that has these three names


def test_the_scale_of_a_fused_matrix_is_not_fused() -> None:
    names = ["model.layers.3.self_attn.qkv_proj.weight", "model.layers.3.self_attn.qkv_proj.weight_scale"]
    roles = assign([tensor(names[0], 24, 8, dtype="F8_E4M3"), tensor(names[1], 24, 1)], {"model_type": "phi3"})
    assert roles[names[0]] == Role("qkv", "phi3", 3, None, "qkv_concat")
    assert roles[names[1]] == Role("buffer", "phi3", 3)


def test_a_composite_config_is_read_at_its_text_part() -> None:
    tensors = [
        tensor("language_model.model.layers.0.self_attn.q_proj.weight", 8, 8),
        tensor("vision_tower.encoder.layers.0.self_attn.q_proj.weight", 8, 8),
    ]
    config = {"model_type": "llava", "text_config": {"model_type": "mistral"}}
    assert family_of(tensors, config) == "mistral"
    assert [r.kind for r in assign(tensors, config).values()] == ["q", "unmatched"]


_WORDS = sorted({w for t in TABLES for row in t.rows for p in row.patterns for w in p.split(".")} | {"model"})
_PARTS = st.one_of(st.sampled_from(_WORDS), st.integers(-3, 300).map(str), st.text(max_size=4), st.just("9" * 4400))
_NAMES = st.one_of(st.lists(_PARTS, max_size=7).map(".".join), st.sampled_from(sorted(GOLDEN[0].roles)))
_SHAPES = st.lists(st.integers(0, 5), max_size=5).map(tuple)
_CONFIGS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "model_type": st.one_of(st.sampled_from(sorted(MODEL_TYPES)), st.text(max_size=3), st.none()),
            "text_config": st.one_of(st.none(), st.just({"model_type": "llama"}), st.integers()),
        },
    ),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(_NAMES, _SHAPES), max_size=12), _CONFIGS)
def test_assign_takes_anything(rows: list[tuple[str, tuple[int, ...]]], config: dict[str, Any] | None) -> None:
    tensors = [tensor(name, *shape) for name, shape in rows]
    roles = assign(tensors, config)
    assert set(roles) == {t.name for t in tensors}
    assert all((r.kind == "unmatched") == (r.family is None) for r in roles.values())


def test_fifty_thousand_names_in_a_second_or_twenty_looks_at_each() -> None:
    """DeepSeek-V3 has 61 layers of 256 experts; processor time, the fastest of three runs."""
    tensors = [tensor("model.layers.0.self_attn.kv_b_proj.weight", 8, 8)]
    for layer in range(66):
        for expert in range(256):
            base = f"model.layers.{layer}.mlp.experts.{expert}."
            tensors += [tensor(base + f"{part}_proj.weight", 8, 8) for part in ("gate", "up", "down")]
    assert len(tensors) > 50_000
    seconds = []
    for config in (None, {"model_type": "deepseek_v3"}, None):
        start = time.process_time()
        roles = assign(tensors, config)
        seconds.append(time.process_time() - start)
        assert roles["model.layers.65.mlp.experts.255.down_proj.weight"] == Role("down", "deepseek", 65, 255)
    start = time.process_time()
    shapes = {re.sub("[0-9]+", "#", t.name) for t in tensors}  # the floor: every name looked at once
    floor = time.process_time() - start
    assert len(shapes) == 4
    assert min(seconds) < max(1.0, 20 * floor)


def test_a_name_of_a_million_prefixes() -> None:
    start = time.process_time()
    assert strip_prefixes("model." * 1_000_000 + "x") == "x"
    assert time.process_time() - start < 1.0


def test_fifty_thousand_unknown_names_in_a_second() -> None:
    tensors = [tensor(f"block{i}.weight", 8, 8) for i in range(50_000)]
    start = time.process_time()
    assert family_of(tensors) is None
    assert time.process_time() - start < 1.0
