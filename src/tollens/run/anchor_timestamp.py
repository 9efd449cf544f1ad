"""A time stamp of RFC 3161 (Adams et al., 2001) over a seal hash: asked for, read, verified."""

from __future__ import annotations

import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tollens.core.errors import TollensError
from tollens.core.extras import install_command
from tollens.run.anchor_git import printable

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampResponse

ROOTS = "TOLLENS_TSA_ROOTS"
TOKEN_BYTES = 1 << 20
NO_ROOT = "time stamp not verified: no trusted root given"
_SHA256 = "2.16.840.1.101.3.4.2.1"
_GRANTED = 0


@dataclass(frozen=True, slots=True)
class Stamp:
    """A verified time stamp. `digest`: hex of the stamped SHA-256; `authority`: subject; `time`: in UTC."""

    digest: str
    authority: str
    time: datetime


def timestamp_query(seal_hash: str) -> bytes:
    """The DER request for a time stamp of `seal_hash`, 64 hex digits, with the certificate of the signer.

    The same as `openssl ts -query -sha256 -digest HASH -cert -no_nonce`. It carries no nonce: an old answer
    to the same question is better evidence, not a replay. Needs no extra. Raises ValueError for another length.
    """
    digest = bytes.fromhex(seal_hash)
    if len(digest) != 32:
        raise ValueError(f"a seal hash has 64 hex digits; found {len(seal_hash)} characters")
    version, cert_req = b"\x02\x01\x01", b"\x01\x01\xff"
    algorithm = b"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00"  # id-sha256, NULL
    imprint = b"\x30\x31" + algorithm + b"\x04\x20" + digest
    return b"\x30\x39" + version + imprint + cert_req


def roots_given() -> tuple[Path, ...]:
    """The files named in $TOLLENS_TSA_ROOTS, separated as in PATH."""
    return tuple(Path(name) for name in os.environ.get(ROOTS, "").split(os.pathsep) if name)


def verify_token(token: bytes, seal_hash: str, roots: Sequence[Path]) -> tuple[str, datetime]:
    """The authority and the time (UTC) of a time stamp of `seal_hash`; `roots` are certificate files.

    Raises TollensError as `read_stamp`, and `timestamp_differs` where the genuine stamp is of another digest.
    """
    stamp = read_stamp(token, roots)
    if stamp.digest != seal_hash:
        raise TollensError(
            "timestamp_differs",
            "time stamp",
            expected=f"the digest {seal_hash}",
            found=f"the digest {stamp.digest}",
            fix="Ask the authority to stamp this seal hash.",
        )
    return stamp.authority, stamp.time


def read_stamp(token: bytes, roots: Sequence[Path]) -> Stamp:
    """What a time-stamp response says, once its signature is verified up to one of `roots` (PEM or DER files).

    The certificates have to be valid at the stamped time, not today, since evidence outlives its signer;
    revocation is not looked up. Raises TollensError `extra_missing`, `timestamp_unreadable`,
    `timestamp_no_root`, `timestamp_root` or `timestamp_untrusted`.
    """
    try:
        import rfc3161_client as rfc3161
    except ModuleNotFoundError as error:
        raise TollensError(
            "extra_missing",
            "time stamp",
            expected="the rfc3161 extra",
            found=f"no module {error.name}",
            fix=f"Install it: {install_command('rfc3161')}",
        ) from None
    response = _decoded(token)
    if not roots:
        raise TollensError(
            "timestamp_no_root",
            "time stamp",
            expected="a trusted root certificate",
            found=NO_ROOT,
            fix=f"Name the root certificate of the authority in {ROOTS}.",
        )
    trusted = list(dict.fromkeys(certificate for path in roots for certificate in _certificates(path)))
    imprint = response.tst_info.message_imprint
    try:
        rfc3161.VerifierBuilder(roots=trusted).build().verify(response, imprint.message)
        signer = _signer(response)
    except (rfc3161.VerificationError, ValueError) as error:
        raise TollensError(
            "timestamp_untrusted",
            "time stamp",
            expected="a signature that a given root vouches for",
            found=_reason(str(error)),
            fix=f"If you trust the authority, name its root certificate in {ROOTS}.",
        ) from None
    return Stamp(imprint.message.hex(), signer, response.tst_info.gen_time.astimezone(UTC))


def fetch_token(url: str, query: bytes, seconds: float = 20.0) -> bytes:
    """The answer of the authority at `url` (http or https) to a `timestamp_query`; not verified here.

    Raises TollensError `timestamp_request` where none came within `seconds`, or one of over 1 MiB.
    """
    if not url.lower().startswith(("http://", "https://")):  # urllib would open file: and ftp: too
        raise _no_answer(url, "an address that is neither http nor https")
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    deadline = time.monotonic() + seconds
    answer = b""
    try:
        request = urllib.request.Request(url, data=query, headers=headers, method="POST")
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=seconds) as reply:
            while piece := reply.read1(1 << 16):
                answer += piece
                if len(answer) > TOKEN_BYTES:
                    raise _no_answer(url, f"more than {TOKEN_BYTES} bytes")
                if time.monotonic() > deadline:  # the timeout of a socket starts anew with every byte
                    raise TimeoutError(f"no whole answer within {seconds:g} s")
            declared = reply.headers.get("Content-Length", str(len(answer)))
        if declared.strip() != str(len(answer)):
            raise _no_answer(url, f"{len(answer)} of {declared} bytes")
    except urllib.error.HTTPError as error:
        error.close()  # it holds the connection
        raise _no_answer(url, str(error)) from None
    except (OSError, HTTPException, ValueError) as error:
        raise _no_answer(url, str(error) or type(error).__name__) from None
    if not answer:
        raise _no_answer(url, "an empty answer")
    return answer


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A query that is sent on would lose its body, so that a redirection is an error."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _no_answer(url: str, found: str) -> TollensError:
    return TollensError(
        "timestamp_request",
        printable(url),
        expected="a time-stamp response",
        found=printable(found),
        fix="Check the address and the connection, or ask another authority.",
    )


def _decoded(token: bytes) -> TimeStampResponse:
    import rfc3161_client as rfc3161

    problem = ""
    if len(token) > TOKEN_BYTES:
        problem = f"more than {TOKEN_BYTES} bytes"
    else:
        try:
            response = rfc3161.decode_timestamp_response(_in_der_order(token))
            if response.status != _GRANTED:
                problem = f"a refusal of the authority, status {response.status}"
            elif response.tst_info.message_imprint.hash_algorithm.dotted_string != _SHA256:
                problem = "a digest that is not SHA-256"
        except ValueError as error:
            problem = str(error)
    if not problem:
        return response
    raise TollensError(
        "timestamp_unreadable",
        "time stamp",
        expected="a granted response of RFC 3161 over a SHA-256 digest",
        found=printable(problem),
        fix="Ask the authority for a new response and keep its bytes as they came.",
    )


def _in_der_order(token: bytes) -> bytes:
    """`token` with the certificates that it carries in the order of DER, which OpenSSL does not keep.

    No signature covers this order. What cannot be followed down to the certificates is returned as it came.
    """
    try:
        start, end = 0, len(token)
        for index in (0, 1, 1, 0):  # response, token, its content, signed data
            _, start, end = _elements(token, start, end)[index]
        fields = _elements(token, start, end)
        begin, stop = next((b, e) for at, b, e in fields if token[at] == 0xA0)
        pieces = sorted(token[at:e] for at, _, e in _elements(token, begin, stop))
        return token[:begin] + b"".join(pieces) + token[stop:]
    except (IndexError, StopIteration):
        return token


def _elements(data: bytes, start: int, end: int) -> list[tuple[int, int, int]]:
    """(begin, begin of the content, end) of the elements of DER in data[start:end]; IndexError if they do not fit."""
    found = []
    while start < end:
        size, body = data[start + 1], start + 2
        if size >= 0x80:
            body += size - 0x80
            size = int.from_bytes(data[start + 2 : body], "big")
        if body + size > end:
            raise IndexError("an element is longer than what holds it")
        found.append((start, body, body + size))
        start = body + size
    return found


def _certificates(path: Path) -> list[Certificate]:
    from cryptography import x509

    try:
        data = path.read_bytes()
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except (OSError, ValueError) as error:
        raise TollensError(
            "timestamp_root",
            str(path),
            expected="X.509 certificates in PEM or DER form",
            found=printable(str(error)),
            fix="Name a file that holds the root certificate of the authority.",
        ) from None


def _signer(response: TimeStampResponse) -> str:
    """The common name of the certificate that signed, else its whole subject; call after verification."""
    from cryptography import x509

    (info,) = response.signed_data.signer_infos
    for der in response.signed_data.certificates:
        certificate = x509.load_der_x509_certificate(der)
        if (certificate.issuer, certificate.serial_number) == (info.issuer, info.serial_number):
            names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
            return printable(str(names[0].value) if names else certificate.subject.rfc4514_string())
    raise ValueError("the certificate of the signer is not in the response")


def _reason(text: str) -> str:
    """What OpenSSL says of a signature, without its file names and line numbers."""
    said = re.findall(r'data: "Verify error: ([^"]+)"', text) or re.findall(r'reason: "([^"]+)"', text)
    return printable(said[-1] if said else text)
