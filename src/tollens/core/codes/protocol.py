"""The life of a sealed claim: what stands against a seal, its run or its verdict."""

from __future__ import annotations

from tollens.core.codes.code import Code

PROTOCOL: dict[str, Code] = {
    "seal_anchor_differs": Code(
        "Another seal was published for this study",
        "The history that a remote received, or a time stamp, holds a seal that the ledger does not know. "
        "The record was deleted or rewritten and sealed again.",
        "Restore the ledger that holds this seal, or give the new claim a folder of its own.",
    ),
    "timestamp_unreadable": Code(
        "Time stamp cannot be read",
        "The file is no time-stamp response of RFC 3161, or it is cut off or damaged.",
        "Ask the authority for a new response and keep its bytes as they came.",
    ),
    "timestamp_differs": Code(
        "Time stamp is of something else",
        "The response is genuine, but the digest in it is not the seal hash, so that it says nothing about this seal.",
        "Ask the authority to stamp the seal hash of this study.",
    ),
    "timestamp_untrusted": Code(
        "Time stamp is not signed by a trusted authority",
        "The signature does not verify, or no given root certificate vouches for the signer as an authority of time.",
        "Name the root certificate of the authority in TOLLENS_TSA_ROOTS if you trust it.",
    ),
    "timestamp_no_root": Code(
        "Time stamp not verified",
        "No trusted root certificate was given, and a time stamp that anyone could have signed is no evidence.",
        "Name the root certificate of the authority, as a file, in TOLLENS_TSA_ROOTS.",
    ),
    "timestamp_root": Code(
        "Root certificate cannot be read",
        "A file given as a trusted root is absent or holds no X.509 certificate in PEM or DER form.",
        "Name files that hold the certificates you trust.",
    ),
    "timestamp_request": Code(
        "Time stamp not received",
        "The authority could not be asked, or it sent no answer of a sensible size.",
        "Check the address and the connection, or ask another authority.",
    ),
}
