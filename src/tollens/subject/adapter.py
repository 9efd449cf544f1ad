"""What `adapter_config.json` says of a low-rank adapter, in the convention of PEFT (Hugging Face, 2023)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeVar

from tollens.core.errors import TollensError
from tollens.subject import document, file
from tollens.subject.pattern import Pattern, Plain, compiled
from tollens.subject.place import Place
from tollens.subject.sharded import check_inside

CONFIG = "adapter_config.json"
STEM = "adapter_model"
PREFIX = "base_model.model."  # of every name in an adapter's file; patterns are matched against what follows
MAX_CONFIG = 10_000_000
MAX_PATTERNS = 4_096
MAX_EXPRESSIONS = 16_384  # characters together: each is walked for every module, and a name takes milliseconds
MAX_RANK = 2**31

# With one of these the change of a weight is something else than gamma * B @ A.
VARIANTS = (
    "use_dora", "use_qalora", "use_bdlora", "arrow_config", "kasa_config", "velora_config", "monteclora_config",
    "target_parameters",
)  # fmt: skip
# These take the initial product from the base weights and leave the rest there, so that the adapter is not the change.
FROM_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")

T = TypeVar("T", int, float)


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """What scales the products of an adapter. `r` and `alpha` are None where the file does not give them.

    `variant` names the kind of adapter, or the option, that makes the change more than a scaled product of two
    factors. `from_base` is the initialisation that altered the base. `saved` are the modules that are stored whole.
    """

    r: int | None
    alpha: float | None
    rslora: bool
    transposed: bool
    ranks: tuple[tuple[Pattern | Plain, int], ...] = ()
    alphas: tuple[tuple[Pattern | Plain, float], ...] = ()
    lora: bool = True
    variant: str | None = None
    from_base: str | None = None
    saved: frozenset[str] = frozenset()

    def rank(self, module: str) -> int | None:
        """The rank declared for a module: of the first pattern that its name ends with, else `r`."""
        return next((value for pattern, value in self.ranks if pattern.ends(module)), self.r)

    def gamma(self, module: str, rank: int) -> float | None:
        """alpha/rank (Hu et al. 2021), or alpha/sqrt(rank) (Kalajdzievski 2023), for a module of that rank >= 1;
        None where alpha is not given.
        """
        alpha = next((value for pattern, value in self.alphas if pattern.ends(module)), self.alpha)
        return None if alpha is None else alpha / (math.sqrt(rank) if self.rslora else rank)

    def replaces(self, tensor: str) -> bool:
        """Whether a tensor of that name belongs to an adapter of another kind, and not to a module stored whole."""
        return not self.lora and self.saved.isdisjoint(tensor.split("."))


def read_adapter(folder: Place, files: tuple[str, ...], digests: dict[str, str] | None = None) -> AdapterConfig | None:
    """The configuration beside the weights `files`; None where there is none, or where they are no adapter's.
    `digests` takes the SHA-256 of what was read.

    Raises: `adapter_config_invalid`, `adapter_pattern_unsupported`, `header_too_deep`, `duplicate_key`,
    `index_escapes`, those of `file.opened`.
    """
    if not any(PurePath(name).name.startswith(STEM) for name in files) or not file.exists(folder, CONFIG):
        return None
    check_inside(folder, CONFIG)
    path = folder / CONFIG
    data = file.read(path, MAX_CONFIG + 1)
    if len(data) > MAX_CONFIG:
        raise _invalid(str(path), f"at most {MAX_CONFIG} bytes", "more")
    if digests is not None:
        digests[CONFIG] = hashlib.sha256(data).hexdigest()
    return parsed(document.parse(data, str(path), "adapter_config_invalid", constants=True), str(path))


def parsed(fields: Mapping[str, Any], subject: str) -> AdapterConfig:
    """The configuration in `fields`; what is absent or null has the default of PEFT, save for r and lora_alpha.

    Raises: `adapter_config_invalid`, `adapter_pattern_unsupported`.
    """
    kind = _text(fields, "peft_type", subject) or "LORA"
    saved = frozenset(name.split(".")[-1] for name in _names(fields, "modules_to_save", subject))
    if kind.upper() != "LORA":  # its numbers mean other things: the ranks of AdaLoRA are lists, that of OFT may be 0
        return AdapterConfig(None, None, rslora=False, transposed=False, lora=False, variant=kind, saved=saved)
    on = [name for name in VARIANTS if fields.get(name)]
    start = fields.get("init_lora_weights")
    from_base = next((name for name in FROM_BASE if isinstance(start, str) and start.startswith(name)), None)
    r, alpha = fields.get("r"), fields.get("lora_alpha")
    return AdapterConfig(
        r=None if r is None else _rank(r, f"{subject}: r"),
        alpha=None if alpha is None else _number(alpha, f"{subject}: lora_alpha"),
        rslora=_flag(fields, "use_rslora", subject),
        transposed=_flag(fields, "fan_in_fan_out", subject),
        ranks=_patterns(fields, "rank_pattern", _rank, subject),
        alphas=_patterns(fields, "alpha_pattern", _number, subject),
        variant=on[0] if on else None,
        from_base=from_base,
        saved=saved,
    )


def _patterns(
    fields: Mapping[str, Any], key: str, read: Callable[[Any, str], T], subject: str
) -> tuple[tuple[Pattern | Plain, T], ...]:
    found = fields.get(key)
    where = f"{subject}: {key}"
    if found is None:
        return ()
    if not isinstance(found, dict) or len(found) > MAX_PATTERNS:
        raise _invalid(where, f"an object with at most {MAX_PATTERNS} patterns", _kind(found))
    made = tuple((compiled(text, where), read(value, f"{where}: {text!r:.80}")) for text, value in found.items())
    total = sum(len(pattern.text) for pattern, _ in made if isinstance(pattern, Pattern))
    if total > MAX_EXPRESSIONS:
        raise _invalid(where, f"expressions of at most {MAX_EXPRESSIONS} characters together", f"{total}")
    return made


def _rank(value: Any, where: str) -> int:
    if type(value) is not int or not 0 < value < MAX_RANK:
        raise _invalid(where, "a whole number from 1 to 2^31 - 1", _kind(value))
    return value


def _number(value: Any, where: str) -> float:
    try:
        number = float(value) if type(value) in (int, float) else math.nan
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise _invalid(where, "a finite number", _kind(value))
    return number


def _flag(fields: Mapping[str, Any], key: str, subject: str) -> bool:
    value = fields.get(key)
    if value is not None and not isinstance(value, bool):
        raise _invalid(f"{subject}: {key}", "true or false", _kind(value))
    return bool(value)


def _text(fields: Mapping[str, Any], key: str, subject: str) -> str | None:
    value = fields.get(key)
    if value is not None and not isinstance(value, str):
        raise _invalid(f"{subject}: {key}", "text", _kind(value))
    return value


def _names(fields: Mapping[str, Any], key: str, subject: str) -> list[str]:
    value = fields.get(key)
    if value is not None and not (isinstance(value, list) and all(isinstance(name, str) for name in value)):
        raise _invalid(f"{subject}: {key}", "a list of names", _kind(value))
    return list(value or ())


def _kind(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"a JSON {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and abs(value) >= MAX_RANK:
        return "a larger number" if value > 0 else "a negative one"
    return f"{value!r:.60}"


def _invalid(subject: str, expected: str, found: str) -> TollensError:
    return TollensError(
        "adapter_config_invalid", subject, expected=expected, found=found,
        fix="Save the adapter again with the library that trained it.",
    )  # fmt: skip
