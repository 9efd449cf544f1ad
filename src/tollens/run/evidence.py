"""What vouches for a verdict: what vouches for its seal, and no more than that for what an earlier run left."""

from __future__ import annotations

from tollens.run.anchor import Anchor, anchor_of
from tollens.run.study import Sealed


def evidence_of(study: Sealed, *, check_remote: bool = False) -> Anchor:
    """The anchor of a seal; none where readings of another run than that of the verdict count.

    A run that goes on after a crash keeps what is in the ledger. Nobody outside has seen that ledger, and its owner
    can write any reading into it, its chain valid (Haber & Stornetta 1991); a verdict on such readings is one on the
    owner's word. Raises TollensError `seal_anchor_differs`, exit 20.
    """
    found = anchor_of(
        study.folder, study.hash, frozenset({*study.before, study.hash}), check_remote=check_remote
    )  # fmt: skip
    kept = study.kept
    if not kept or found.kind == "none":
        return found
    return Anchor(
        "none",
        "unanchored",
        f"{kept} reading{'s were' if kept > 1 else ' was'} kept from an earlier run, which nobody outside has seen; "
        f"the seal itself is {found.text}.",
        lowered=True,
    )
