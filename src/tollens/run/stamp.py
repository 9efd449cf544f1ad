"""A time stamp on a seal: somebody else's signature that its hash existed at a time."""

from __future__ import annotations

import hashlib
import os

from tollens.record import ledger as ledgers
from tollens.record.ledger import Writer
from tollens.run.anchor import TOKEN, Anchor, anchor_of
from tollens.run.anchor_timestamp import fetch_token, roots_given, timestamp_query, verify_token
from tollens.run.study import alone, restored, sealed, study_folder, write_whole


def stamp(path: str | os.PathLike[str], url: str) -> Anchor:
    """Ask the time-stamp authority at `url` to sign the hash of a seal (RFC 3161), and keep the token in `seal.tsr`.

    Only the hash is sent. The token is kept if it is of this seal and signed under a root that $TOLLENS_TSA_ROOTS
    trusts. Raises TollensError: `not_sealed` (21), `tampered` (20), `timestamp_*` (2) with nothing kept.
    """
    folder = study_folder(path)
    with alone(folder):
        study = restored(sealed(folder))
        token = fetch_token(url, timestamp_query(study.hash))
        authority, time = verify_token(token, study.hash, roots_given())
        write_whole(folder / TOKEN, token)
        body = {
            "seal": study.hash, "kind": "rfc3161", "authority": authority, "time": time.isoformat(),
            "token": hashlib.sha256(token).hexdigest(),
        }  # fmt: skip
        Writer(folder / ledgers.FILE).append("anchor", body)
        return anchor_of(folder, study.hash, frozenset({*study.before, study.hash}))
