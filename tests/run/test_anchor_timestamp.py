"""Time stamps by a real authority, made with the command line of OpenSSL, some of them over HTTP."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tollens.core.errors import Exit, TollensError
from tollens.run.anchor import Anchor, anchor_of
from tollens.run.anchor_timestamp import TOKEN_BYTES, Stamp, fetch_token, read_stamp, timestamp_query, verify_token

SEAL, OTHER = (hashlib.sha256(s).hexdigest() for s in (b'{"claim":1}', b'{"claim":2}'))


@pytest.fixture(autouse=True)
def _no_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOLLENS_TSA_ROOTS", raising=False)


def openssl(folder: Path, *words: str) -> bytes:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclass(frozen=True)
class Authority:
    """A root and a signer of time stamps in `folder`."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "ca.pem"

    def answer(self, query: bytes) -> bytes:
        (self.folder / "query").write_bytes(query)
        openssl(self.folder, "ts", "-reply", "-config", "ts.cnf", "-queryfile", "query", "-out", "reply")
        return (self.folder / "reply").read_bytes()

    def stamp(self, seal_hash: str = SEAL) -> bytes:
        return self.answer(timestamp_query(seal_hash))


def authority(folder: Path, name: str, usage: str = "critical,timeStamping") -> Authority:
    folder.mkdir()
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test Root", "-days", "9")
    openssl(folder, "req", *key, "-keyout", "tsa.key", "-out", "tsa.csr", "-utf8", "-subj", f"/O=Example/CN={name}")
    extended = f"extendedKeyUsage={usage}\n" if usage else ""
    (folder / "tsa.ext").write_text(f"basicConstraints=critical,CA:FALSE\n{extended}")
    issue = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "9", "-extfile", "tsa.ext")
    openssl(folder, "x509", "-req", "-in", "tsa.csr", *issue, "-out", "tsa.pem")
    (folder / "serial").write_text("01")
    (folder / "ts.cnf").write_text(
        "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\nsigner_cert=tsa.pem\nsigner_key=tsa.key\nsigner_digest=sha256\n"
        "default_policy=1.2.3.4.1\ndigests=sha256,sha512\naccuracy=secs:1\ness_cert_id_alg=sha256\n"
    )
    return Authority(folder)


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    pytest.importorskip("rfc3161_client", reason="the rfc3161 extra is not installed")
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    return authority(tmp_path_factory.mktemp("tsa") / "a", "Test Authority")


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(TollensError) as caught:
        call()
    return caught.value.code


def test_the_query_is_the_one_of_openssl(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    theirs = openssl(tmp_path, "ts", "-query", "-digest", SEAL, "-sha256", "-cert", "-no_nonce")
    assert timestamp_query(SEAL) == theirs


def test_the_query_byte_by_byte() -> None:
    """RFC 3161, 2.4.1: version 1, (id-sha256 with NULL, 32 octets), certReq TRUE; 57 = 3 + 51 + 3 octets."""
    head = "3039 020101 3031 300d 0609 608648016503040201 0500 0420"
    assert timestamp_query("ab" * 32).hex() == head.replace(" ", "") + "ab" * 32 + "0101ff"


@pytest.mark.parametrize("bad", ["", "ab" * 31, "xy" * 32, "ab" * 64])
def test_no_query_for_what_is_no_hash(bad: str) -> None:
    with pytest.raises(ValueError):
        timestamp_query(bad)


def test_a_genuine_token_verifies(tsa: Authority) -> None:
    name, moment = verify_token(tsa.stamp(), SEAL, [tsa.root])
    assert name == "Test Authority"
    assert abs(moment - datetime.now(UTC)) < timedelta(minutes=5)
    assert moment.tzinfo is UTC


def test_roots_may_be_der_and_many(tsa: Authority, tmp_path: Path) -> None:
    openssl(tsa.folder, "x509", "-in", "ca.pem", "-outform", "DER", "-out", str(tmp_path / "ca.der"))
    stranger = authority(tmp_path / "b", "Stranger")
    roots = [stranger.root, tmp_path / "ca.der", tsa.root, tsa.root]
    assert verify_token(tsa.stamp(), SEAL, roots)[0] == "Test Authority"


def test_a_token_of_another_hash_is_refused(tsa: Authority) -> None:
    with pytest.raises(TollensError) as caught:
        verify_token(tsa.stamp(OTHER), SEAL, [tsa.root])
    assert caught.value.code == "timestamp_differs"
    assert caught.value.expected == f"the digest {SEAL}"
    assert caught.value.found == f"the digest {OTHER}"


def test_an_authority_that_nobody_trusts_is_refused(tsa: Authority, tmp_path: Path) -> None:
    impostor = authority(tmp_path / "b", "Test Authority")  # the same names, other keys
    with pytest.raises(TollensError) as caught:
        verify_token(impostor.stamp(), SEAL, [tsa.root])
    assert (caught.value.code, caught.value.found) == ("timestamp_untrusted", "unable to get local issuer certificate")


def test_a_signature_that_does_not_fit_is_said_in_plain_words(tsa: Authority) -> None:
    token = bytearray(tsa.stamp())
    token[-3] ^= 1  # within the signature, which comes last
    with pytest.raises(TollensError) as caught:
        verify_token(bytes(token), SEAL, [tsa.root])
    assert (caught.value.code, caught.value.found) == ("timestamp_untrusted", "signature failure")


def der(tag: int, body: bytes) -> bytes:
    size = len(body).to_bytes(2, "big")
    return bytes([tag]) + (bytes([len(body)]) if len(body) < 128 else b"\x82" + size) + body


@pytest.mark.parametrize(
    ("usage", "accepted"),
    [("critical,timeStamping", True), ("timeStamping", False), ("critical,serverAuth", False), ("", False)],
)
def test_a_certificate_of_a_trusted_root_for_another_use_is_refused(
    tsa: Authority, tmp_path: Path, usage: str, accepted: bool
) -> None:
    """The same statement, signed with any certificate that the trusted root issued (RFC 3161, 2.3)."""
    other = authority(tmp_path / "b", "Other", usage)
    tsa.stamp()  # later than the certificate, which has to be valid by then
    openssl(tsa.folder, "ts", "-reply", "-in", "reply", "-token_out", "-out", str(tmp_path / "token"))
    openssl(tmp_path, "cms", "-verify", "-noverify", "-nosigs", "-inform", "DER", "-in", "token", "-out", "statement")
    openssl(
        other.folder, "cms", "-sign", "-in", "../statement", "-binary", "-nodetach", "-nosmimecap", "-outform", "DER",
        "-econtent_type", "1.2.840.113549.1.9.16.1.4", "-signer", "tsa.pem", "-inkey", "tsa.key", "-out", "signed",
    )  # fmt: skip
    response = der(0x30, b"\x30\x03\x02\x01\x00" + (other.folder / "signed").read_bytes())
    if accepted:
        assert verify_token(response, SEAL, [other.root])[0] == "Other"
    else:
        assert code_of(lambda: verify_token(response, SEAL, [other.root])) == "timestamp_untrusted"


def test_without_a_root_nothing_is_verified(tsa: Authority) -> None:
    with pytest.raises(TollensError) as caught:
        verify_token(tsa.stamp(), SEAL, [])
    assert caught.value.code == "timestamp_no_root"
    assert caught.value.found == "time stamp not verified: no trusted root given"


@pytest.mark.parametrize(
    "content", [None, b"", b"\x30", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_root_that_cannot_be_read_is_named(tsa: Authority, tmp_path: Path, content: bytes | None) -> None:
    bad = tmp_path / "root.pem"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(TollensError) as caught:
        verify_token(tsa.stamp(), SEAL, [bad])
    assert (caught.value.code, caught.value.subject) == ("timestamp_root", str(bad))


@pytest.mark.parametrize(
    "junk", [b"", b"\0" * 99, b"no token\n", b"\x30\x84\xff\xff\xff\xff", b"0" * (TOKEN_BYTES + 1)]
)
def test_junk_is_refused_by_name(tsa: Authority, junk: bytes) -> None:
    assert code_of(lambda: verify_token(junk, SEAL, [tsa.root])) == "timestamp_unreadable"


def test_a_refusal_of_the_authority_is_no_token(tsa: Authority) -> None:
    refusal = tsa.answer(b"\x30\x03\x02\x01\x01")  # no query: OpenSSL answers with status 2, rejection
    assert code_of(lambda: verify_token(refusal, SEAL, [tsa.root])) == "timestamp_unreadable"


def test_a_digest_that_is_not_sha_256_is_refused(tsa: Authority, tmp_path: Path) -> None:
    query = openssl(tmp_path, "ts", "-query", "-digest", SEAL * 2, "-sha512", "-cert", "-no_nonce")
    with pytest.raises(TollensError) as caught:
        verify_token(tsa.answer(query), SEAL, [tsa.root])
    assert (caught.value.code, caught.value.found) == ("timestamp_unreadable", "a digest that is not SHA-256")


def test_every_shortened_token_is_refused(tsa: Authority) -> None:
    token = tsa.stamp()
    for length in range(len(token)):
        assert code_of(lambda n=length: read_stamp(token[:n], [tsa.root])) == "timestamp_unreadable"
    assert code_of(lambda: read_stamp(token + b"\0", [tsa.root])) == "timestamp_unreadable"


@pytest.mark.parametrize("padding", ["", "x" * 60])
def test_a_chain_of_certificates_in_any_order_is_followed(tmp_path: Path, tsa: Authority, padding: str) -> None:
    """OpenSSL writes the signer first; DER wants the shorter one first, and `padding` makes that either of them."""
    assert tsa.root.exists()
    other = authority(tmp_path / "b", "Other")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(other.folder, "req", "-x509", *key, "-keyout", "top.key", "-out", "top.pem", "-subj", f"/CN=Top{padding}")
    openssl(other.folder, "req", "-new", "-key", "ca.key", "-out", "ca.csr", "-subj", "/CN=Test Root")
    (other.folder / "ca.ext").write_text("basicConstraints=critical,CA:TRUE\n")
    issue = ("-CA", "top.pem", "-CAkey", "top.key", "-CAcreateserial", "-days", "9", "-extfile", "ca.ext")
    openssl(other.folder, "x509", "-req", "-in", "ca.csr", *issue, "-out", "between.pem")
    settings = other.folder / "ts.cnf"
    settings.write_text(settings.read_text() + "certs=between.pem\n")
    top = other.folder / "top.pem"
    assert verify_token(other.stamp(), SEAL, [top])[0] == "Other"
    assert code_of(lambda: verify_token(other.stamp(), SEAL, [tsa.root])) == "timestamp_untrusted"


def outcome(token: bytes, tsa: Authority) -> Stamp | str:
    try:
        return read_stamp(token, [tsa.root])
    except TollensError as refused:
        return refused.code


def test_a_flipped_byte_is_refused_or_says_the_same(tsa: Authority) -> None:
    """What CMS leaves unsigned and OpenSSL ignores: two version numbers and the name of the signature algorithm.

    A flip there changes no word of what is said. They are 2 octets and an object identifier of at most 12.
    """
    token = tsa.stamp()
    genuine = read_stamp(token, [tsa.root])
    passed: list[int] = []
    for place in range(len(token)):
        damaged = bytearray(token)
        damaged[place] ^= 0xFF if place % 2 else 0x01
        found = outcome(bytes(damaged), tsa)
        assert found in (genuine, "timestamp_unreadable", "timestamp_untrusted")
        if found == genuine:
            passed.append(place)
    assert len(passed) <= 14
    for signed in (bytes.fromhex(SEAL), b"Test Authority"):
        start = token.index(signed)
        assert not set(passed) & set(range(start, start + len(signed)))


def test_the_name_of_an_authority_cannot_write_on_a_terminal(tsa: Authority, tmp_path: Path) -> None:
    evil = authority(tmp_path / "b", "a\u202e\u009bb")
    assert verify_token(evil.stamp(), SEAL, [evil.root])[0] == "a??b"


def test_without_the_extra_the_command_that_brings_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rfc3161_client", None)
    with pytest.raises(TollensError) as caught:
        verify_token(b"", SEAL, [])
    assert caught.value.code == "extra_missing"
    assert caught.value.fix.endswith("-m pip install 'tollens[rfc3161]'")


# The file seal.tsr of a study.


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "study").mkdir()
    return tmp_path / "study"


def put(study: Path, token: bytes) -> Path:
    (study / "seal.tsr").write_bytes(token)
    return study


def test_a_study_with_a_time_stamp_is_anchored(tsa: Authority, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tsa.stamp()
    moment = read_stamp(token, [tsa.root]).time.strftime("%Y-%m-%dT%H:%M:%SZ")
    expected = Anchor("rfc3161", f"anchored: rfc3161 Test Authority {moment}")
    assert anchor_of(put(study, token), SEAL, frozenset(), roots=[tsa.root]) == expected
    monkeypatch.setenv("TOLLENS_TSA_ROOTS", f"{os.pathsep}{tsa.root}")
    assert anchor_of(study, SEAL, frozenset()) == expected
    assert anchor_of(study, SEAL, frozenset(), roots=[]).text == "unanchored"


def test_without_a_root_the_study_is_not_anchored(tsa: Authority, study: Path) -> None:
    found = anchor_of(put(study, tsa.stamp()), SEAL, frozenset())
    assert found.text == "unanchored"
    assert found.why.startswith("Time stamp not verified: no trusted root given; ")


def test_a_time_stamp_that_does_not_count_is_said(tsa: Authority, study: Path, tmp_path: Path) -> None:
    stranger = authority(tmp_path / "b", "Stranger")
    for token, code in ((b"junk", "timestamp_unreadable"), (stranger.stamp(), "timestamp_untrusted")):
        found = anchor_of(put(study, token), SEAL, frozenset(), roots=[tsa.root])
        assert found.text == "unanchored"
        assert f"seal.tsr does not count: {code}" in found.why.lower()


def test_a_stamp_of_an_earlier_seal_does_not_anchor_the_present_one(tsa: Authority, study: Path) -> None:
    found = anchor_of(put(study, tsa.stamp(OTHER)), SEAL, frozenset({SEAL, OTHER}), roots=[tsa.root])
    assert found.text == "unanchored"
    assert found.why.startswith("Seal.tsr is of an earlier seal of this ledger; ")


def test_a_stamp_of_a_seal_that_the_ledger_does_not_know_is_tampering(tsa: Authority, study: Path) -> None:
    with pytest.raises(TollensError) as caught:
        anchor_of(put(study, tsa.stamp(OTHER)), SEAL, frozenset({SEAL}), roots=[tsa.root])
    assert caught.value.code == "seal_anchor_differs"
    assert caught.value.exit_code is Exit.TAMPERED
    assert caught.value.found == "anchor seal.tsr holds another seal"


# Over HTTP.


Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], str]]:
    servers: list[HTTPServer] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                answer(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/tsr"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_a_token_is_fetched_and_verifies(tsa: Authority, serve: Callable[[Answer], str]) -> None:
    asked: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler, query: bytes) -> None:
        asked.append(handler.headers["Content-Type"])
        send(handler, tsa.answer(query))

    stamp = read_stamp(fetch_token(serve(answer), timestamp_query(SEAL)), [tsa.root])
    assert isinstance(stamp, Stamp)
    assert (stamp.digest, stamp.authority) == (SEAL, "Test Authority")
    assert asked == ["application/timestamp-query"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda h, _: send(h, b"no", status=500), "500"),
        (lambda h, _: send(h, b"", status=302, Location="http://127.0.0.1:1/"), "302"),
        (lambda h, _: send(h, b""), "an empty answer"),
        (lambda h, _: send(h, b"0" * (TOKEN_BYTES + 1)), "more than 1048576 bytes"),
        (lambda h, _: h.wfile.write(b"nonsense\r\n\r\n"), "nonsense"),
        (lambda h, _: h.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nshort"), "5 of 9 bytes"),
    ],
    ids=["error", "redirection", "empty", "huge", "no http", "cut off"],
)
def test_an_answer_that_is_none(serve: Callable[[Answer], str], answer: Answer, said: str) -> None:
    with pytest.raises(TollensError) as caught:
        fetch_token(serve(answer), timestamp_query(SEAL), seconds=5)
    assert caught.value.code == "timestamp_request"
    assert said in caught.value.found


def test_an_authority_that_drips_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
                while not stop.wait(0.05):
                    try:
                        connection.sendall(b"0")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        assert code_of(lambda: fetch_token(url, b"q", seconds=0.3)) == "timestamp_request"
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "", "http://", "http://127.0.0.1:1/\x1b"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(TollensError) as caught:
        fetch_token(url, b"q", seconds=5)
    assert caught.value.code == "timestamp_request"
    assert str(caught.value).isprintable()
