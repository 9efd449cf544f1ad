"""When a study is said to look like a death, and how often that would be said for nothing."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollens.demo import study_files
from tollens.protocol.resemblance import (
    Dead,
    Resemblance,
    features_of,
    jaccard,
    resemblance_text,
    resembling,
)
from tollens.protocol.study import Study, read_study

SETS = st.frozensets(st.sampled_from(["quantity:a", "quantity:b", "touches:kv", "unit:pp", "fold:min", "rung:cpu"]))


def example() -> Study:
    return read_study(next(path for path in study_files() if path.name == "claim.toml").read_text())


def study(*, claim: dict[str, Any] | None = None, metric: dict[str, Any] | None = None, **more: Any) -> Study:
    made = example()
    return msgspec.structs.replace(
        made, claim=msgspec.structs.replace(made.claim, **(claim or {})),
        metric=msgspec.structs.replace(made.metric, **(metric or {})), **more,
    )  # fmt: skip


def dead(features: frozenset[str], obstacle: str = "BUDGET", name: str = "old") -> Dead:
    return Dead(study=name, claim="c", obstacle=obstacle, lesson="Count\nbytes.", features=features)


def test_the_features_of_the_example() -> None:
    assert features_of(example()) == {
        "quantity:accuracy_diff", "unit:pp", "relation:>=", "direction:higher_is_better", "fold:min",
        "metric:metric.py", "rung:arithmetic", "rung:cpu",
    }  # fmt: skip


def test_every_word_of_an_attribute_is_a_feature() -> None:
    made = study(proposal={"touches": ["kv", "mlp"], "batch": 8, "calibrated": True, "base": "llama"})
    assert features_of(made) - features_of(example()) == {
        "touches:kv", "touches:mlp", "batch:8", "calibrated:true", "base:llama",
    }  # fmt: skip


def test_an_instrument_stands_for_what_measures() -> None:
    made = study(metric={"instrument": "norms", "file": None, "checkpoint": "m.safetensors"})
    assert "instrument:norms" in features_of(made)
    assert not any(feature.startswith("metric:") for feature in features_of(made))


def test_known_indices() -> None:
    assert jaccard(frozenset("abc"), frozenset("bcd")) == Fraction(1, 2)
    assert jaccard(frozenset("ab"), frozenset("cd")) == 0
    assert jaccard(frozenset(), frozenset()) == 0
    assert jaccard(frozenset("ab"), frozenset("ab")) == 1


@given(SETS, SETS)
def test_the_index_is_symmetric_and_one_only_for_the_same(one: frozenset[str], other: frozenset[str]) -> None:
    assert jaccard(one, other) == jaccard(other, one)
    assert 0 <= jaccard(one, other) <= 1
    assert (jaccard(one, other) == 1) == (one == other and bool(one))


@given(SETS, st.lists(SETS, max_size=6))
def test_a_warning_needs_half_of_the_features_and_one_that_names_the_matter(
    features: frozenset[str], others: list[frozenset[str]]
) -> None:
    found = resembling(features, [dead(other, name=str(place)) for place, other in enumerate(others)])
    keyed = [o for o in others if {f for f in features & o if f.startswith(("quantity:", "touches:"))}]
    near = [jaccard(features, other) for other in keyed]
    assert bool(found) == any(2 * index >= 1 for index in near)
    if found:
        assert found[0].similarity == float(max(near))
        assert found[0].deaths == len(others)
        assert set(found[0].shared) == features & others[int(found[0].study)]


def test_exactly_one_half_warns_and_less_does_not() -> None:
    features = frozenset({"quantity:a", "unit:pp"})
    assert resembling(features, [dead(frozenset({"quantity:a"}))])
    assert not resembling(features, [dead(frozenset({"quantity:a", "fold:min"}))])
    assert not resembling(frozenset({"unit:pp"}), [dead(frozenset({"unit:pp"}))])


def test_one_warning_a_class_the_nearest_first() -> None:
    mine = frozenset({"quantity:a", "unit:pp", "fold:min"})
    far, near = mine | {"rung:cpu"}, mine
    found = resembling(mine, [dead(far, name="x"), dead(near, "DEPTH", "y"), dead(far, name="w"), dead(far, name="z")])
    assert [(one.obstacle, one.deaths, one.study) for one in found] == [("DEPTH", 1, "y"), ("BUDGET", 3, "w")]


def test_the_sentence_says_what_it_is_worth() -> None:
    near = Resemblance(
        obstacle="BUDGET",
        deaths=2,
        study="old",
        claim="c",
        similarity=0.5,
        shared=["quantity:a"],
        lesson="Count\nbytes.",
    )
    text = resemblance_text(near)
    assert text == (
        "BUDGET, which killed 2 claims here: old (c) shares 0.50 of the features of both, quantity:a. "
        "Its lesson: Count bytes. A resemblance, not evidence."
    )
    assert "It has no lesson." in resemblance_text(msgspec.structs.replace(near, lesson=" "))


# Claims of different matters, as people write them: quantity, unit, relation, direction, fold, instrument, touches.
UP, DOWN, AIM = "higher_is_better", "lower_is_better", "target"
MATTERS: dict[str, tuple[str, str, str, str, str, str | None, list[str]]] = {
    "8 bits for weights": ("accuracy_diff", "pp", ">=", UP, "min", None, ["weights"]),
    "4 bits for the cache": ("perplexity", "1", "<=", DOWN, "max", None, ["kv"]),
    "magnitude pruning": ("accuracy_diff", "pp", ">=", UP, "mean", None, ["weights"]),
    "head pruning": ("bleu_diff", "1", ">=", UP, "min", None, ["attention"]),
    "distillation": ("accuracy", "%", ">=", UP, "min", None, ["student"]),
    "merging two fine-tunes": ("accuracy_diff", "pp", ">=", UP, "min", None, ["merge"]),
    "low rank": ("relative_error", "1", "<=", DOWN, "max", None, ["weights", "mlp"]),
    "early exit": ("latency", "ms", "<=", DOWN, "max", None, ["depth"]),
    "batched decoding": ("throughput", "1/s", ">=", UP, "min", None, ["batch"]),
    "calibration": ("ece", "1", "<=", DOWN, "max", None, ["logits"]),
    "out of distribution": ("auroc", "1", ">=", UP, "min", None, ["logits"]),
    "steering vector": ("cosine", "1", ">=", UP, "min", None, ["residual"]),
    "probe": ("accuracy", "%", ">=", UP, "mean", None, ["residual"]),
    "sparse features": ("dead_share", "%", "<=", DOWN, "max", None, ["dictionary"]),
    "tokeniser": ("bytes_per_token", "B", ">=", UP, "mean", None, ["tokens"]),
    "long context": ("retrieval", "%", ">=", UP, "min", None, ["positions"]),
    "learning rate": ("loss", "1", "<=", DOWN, "mean", None, ["optimiser"]),
    "warm-up": ("loss", "1", "<=", DOWN, "max", None, ["optimiser"]),
    "data mixture": ("loss", "1", "<=", DOWN, "mean", None, ["data"]),
    "deduplication": ("overlap", "%", "<=", DOWN, "max", None, ["data"]),
    "stable rank": ("stable_rank", "count", "within", AIM, "all", "norms", ["weights"]),
    "tail exponent": ("alpha", "1", "within", AIM, "all", "tail", ["weights"]),
    "robustness": ("accuracy_diff", "pp", ">=", UP, "min", None, ["inputs"]),
    "speculation": ("accepted", "%", ">=", UP, "mean", None, ["draft"]),
}


def matter(name: str, *, declared: bool) -> frozenset[str]:
    quantity, unit, relation, direction, fold, instrument, touches = MATTERS[name]
    return features_of(
        study(
            claim={
                "quantity": quantity, "unit": unit, "relation": relation, "direction": direction,
                "aggregate": f"{fold} over seed",
            },
            metric={"instrument": instrument, "file": None if instrument else "metric.py"},
            proposal={"touches": touches} if declared else {},
        )
    )  # fmt: skip


@pytest.mark.parametrize(("declared", "pairs_told", "studies_told"), [(True, 13, 13), (False, 10, 9)])
def test_how_often_unrelated_claims_are_said_to_resemble_each_other(
    declared: bool, pairs_told: int, studies_told: int
) -> None:
    """276 pairs of different matters. A generic quantity, such as loss, is what is mistaken for a matter."""
    pairs = [*combinations(MATTERS, 2)]
    features = {name: matter(name, declared=declared) for name in MATTERS}
    told = [(one, other) for one, other in pairs if resembling(features[one], [dead(features[other])])]
    assert len(pairs) == 276
    assert len(told) == pairs_told
    assert len({name for pair in told for name in pair}) == studies_told
