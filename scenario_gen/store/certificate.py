"""The certificate of a finished run: what was proved of it, as JSON that a reviewer can check without the data.

    {"certificate": {...}, "sum": sha256, "signature": {"kind": "ed25519", "public_key": hex, "value": hex} or null}

Sum and signature are of the certificate as canonical JSON: keys sorted, no blanks, ASCII, no number that is not finite.
A sum shows that nothing was changed by accident; anybody can make another. A signature shows whose key made it.
Owns form, canonical bytes, keys and what is wrong with a file. Proves nothing of a run.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from scenario_gen.errors import StoreError
from scenario_gen.files import disk_trouble, write_bytes
from scenario_gen.finding import Label, worst
from scenario_gen.values import decode, encode

CERTIFICATE_SCHEMA = 1
SIGNATURE = "certificate: signature"  # a step
NO_CRYPTOGRAPHY = "pip install 'scenario-gen[sign]', which brings the package cryptography"
GENPKEY = "a private key as `openssl genpkey -algorithm ed25519 -out key.pem` makes one"
PUBOUT = "a public key as `openssl pkey -in key.pem -pubout -out pub.pem` writes it"


@dataclass(frozen=True)
class Proof:
    """One step of a proof and what came out of it."""

    step: str  # what was held against what
    label: Label  # PASS, FAIL, or UNTESTABLE where it could not be tried here
    reason: str  # in words: what was compared, or what differs and what that means
    offenders: list[str] = field(default_factory=list)  # what failed, by name


@dataclass(frozen=True)
class ProvedPaths:
    """Paths that were sampled, checked and backtested once more."""

    scenario: str
    blocks: list[int]  # whole ones, since a block is the unit of shape
    paths: int  # raw paths in them
    exact: bool  # whether they are the same to the last bit


@dataclass(frozen=True)
class ChosenPaths:
    """Which paths were made again, so that the choice can be repeated."""

    seed: int  # of the choice among all paths
    paths: int  # how many were drawn
    path: int | None = None  # the path that was asked for by name instead


@dataclass(frozen=True)
class Certificate:
    """What a run is, and what was proved of it."""

    run: str  # its name
    created: str  # when it ran, ISO, UTC
    identity: dict[str, str]  # as the run has it: hashes of spec, data, weights, strategies, code, packages
    sums: dict[str, str]  # sha256 of run.json, its tables, kept paths and page
    seeds: dict[str, int]  # of every scenario
    versions: dict[str, str]  # of the run
    device: dict[str, str]  # of the run
    steps: list[Proof]
    choice: ChosenPaths
    proved: list[ProvedPaths]
    verified: str  # when, ISO, UTC
    verified_by: dict[str, str]  # versions of what proved it
    verified_on: dict[str, str]  # device of what proved it
    schema: int = CERTIFICATE_SCHEMA

    @property
    def label(self) -> Label:
        """The worst label of its steps."""
        return worst((proof.label for proof in self.steps), "UNTESTABLE")


@dataclass(frozen=True)
class Signature:
    """An Ed25519 signature (RFC 8032)."""

    kind: Literal["ed25519"]
    public_key: str  # 32 bytes, hexadecimal
    value: str  # 64 bytes, hexadecimal


def canonical(content: Any) -> bytes:
    """Return plain values as the bytes that are summed and signed: the same for the same values, whoever wrote them."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def write_certificate(path: Path, certificate: Certificate, key: Path | None = None) -> None:
    """Write a certificate, signed where a key is given.

    Args:
        path: a file that is not there yet.
        certificate: what was proved.
        key: PEM file of an Ed25519 private key without a password.

    Raises:
        StoreError: something stands there already, the key cannot be used, or the disk refuses.
    """
    refuse_standing(path)
    content = encode(certificate)
    signed = None if key is None else encode(sign(canonical(content), key))
    whole = {"certificate": content, "sum": hashlib.sha256(canonical(content)).hexdigest(), "signature": signed}
    write_bytes(path, (json.dumps(whole, indent=1, allow_nan=False) + "\n").encode("ascii"), "certificate")


def refuse_standing(path: Path) -> None:
    """See that nothing would be written over.

    Raises:
        StoreError: something stands there.
    """
    if path.exists():
        raise StoreError(
            f"{path} is there already",
            expected="a new file for the certificate",
            fix="name another, or give it without --key to have it checked",
        )


def refuse_unwritable(path: Path) -> None:
    """See that a certificate can be written, before hours go into one that could not.

    Raises:
        StoreError: something stands there, or the disk refuses.
    """
    refuse_standing(path)
    with disk_trouble("write", path, "certificate"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.unlink()


def check_certificate(path: Path, public: Path | None = None) -> tuple[Certificate | None, list[Proof]]:
    """Return a certificate, and whether its form, sum and signature hold; None where it cannot be read.

    Args:
        path: of the certificate.
        public: PEM file of the public key that it must be signed with.

    Raises:
        StoreError: the file is missing or no certificate, or the key cannot be used.
    """
    whole = _read(path)
    content, signature = whole["certificate"], whole.get("signature")
    if not isinstance(content, dict) or content.get("schema") != CERTIFICATE_SCHEMA:
        came = content.get("schema") if isinstance(content, dict) else None
        raise StoreError(
            f"{path} is a certificate of schema {came!r}",
            expected=f"schema {CERTIFICATE_SCHEMA}, which this version writes and reads",
            fix="check it with the version that wrote it",
        )
    try:
        certificate, wrong = decode(Certificate, content), ""
    except StoreError as error:
        certificate, wrong = None, error.problem.replace("run.json", "the certificate")
    form = Proof("certificate: form", "FAIL" if wrong else "PASS", wrong or f"schema {CERTIFICATE_SCHEMA}")
    own = hashlib.sha256(canonical(content)).hexdigest()
    told = "that of its content" if own == whole.get("sum") else "not that of its content: the certificate was edited"
    total = Proof("certificate: sum", "PASS" if own == whole.get("sum") else "FAIL", f"its sum is {told}")
    return certificate, [form, total, _signature_proof(canonical(content), signature, public)]


def _read(path: Path) -> dict[str, Any]:
    with disk_trouble("read", path, "certificate"):
        text = path.read_bytes()
    try:
        whole = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise _none(path, f"is not valid JSON: {error}") from error
    if not isinstance(whole, dict) or not {"certificate", "sum"} <= whole.keys():
        raise _none(path, "holds no certificate")
    if strange := sorted({*whole} - {"certificate", "sum", "signature"}):
        raise _none(path, f"has unknown keys {', '.join(strange)[:120]}, which nothing vouches for")
    try:
        canonical(whole["certificate"])
    except ValueError as error:  # Python reads NaN, and 1e999 as an infinity; JSON has neither
        raise _none(path, "holds a number that is not finite") from error
    return whole


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that stands twice: two readers could take two different values."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def _none(path: Path, problem: str) -> StoreError:
    return StoreError(
        f"{path} {problem}",
        expected="a certificate as `scenario-gen verify RUN --certificate FILE` writes it",
        fix="name that file; the folder of a run goes before the options",
    )


# --- Signatures ---


def sign(content: bytes, key: Path) -> Signature:
    """Return the signature of bytes with the key of a PEM file.

    Raises:
        StoreError: the package cryptography is missing, or the file is no Ed25519 private key.
    """
    private = private_key(key)
    return Signature("ed25519", private.public_key().public_bytes_raw().hex(), private.sign(content).hex())


def private_key(path: Path) -> Any:
    """Return the private key of a PEM file, as the package cryptography has it.

    Raises:
        StoreError: that package is missing, or the file is no Ed25519 private key without a password.
    """
    exceptions, serialization, ed25519 = _needed("--key signs the certificate")
    with disk_trouble("read", path, "key"):
        text = path.read_bytes()
    try:
        key = serialization.load_pem_private_key(text, password=None)
    except TypeError as error:  # a password would be needed
        raise StoreError(f"{path} is protected by a password", expected=GENPKEY, fix="give it without one") from error
    except (ValueError, exceptions.UnsupportedAlgorithm) as error:
        raise StoreError(f"{path} is no private key in PEM", expected=GENPKEY, fix="make one, or name it") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise StoreError(f"{path} is a private key of another kind", expected=GENPKEY, fix="make one of that kind")
    return key


def _public_key(path: Path) -> Any:
    exceptions, serialization, ed25519 = _needed("--public checks the signature")
    with disk_trouble("read", path, "key"):
        text = path.read_bytes()
    try:
        key = serialization.load_pem_public_key(text)
    except (ValueError, exceptions.UnsupportedAlgorithm) as error:
        raise StoreError(
            f"{path} is no public key in PEM", expected=PUBOUT, fix="ask its owner for that file"
        ) from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise StoreError(f"{path} is a public key of another kind", expected=PUBOUT, fix="ask for the Ed25519 key")
    return key


def _needed(why: str) -> tuple[Any, Any, Any]:
    """Return the parts of the package cryptography, or say which extra brings it."""
    try:
        return _cryptography()
    except ImportError as error:
        raise StoreError(
            f"{why}, and the package cryptography is not installed", expected="the extra 'sign'", fix=NO_CRYPTOGRAPHY
        ) from error


def _cryptography() -> tuple[Any, Any, Any]:
    """Return exceptions, formats of keys and the kind of signature; only what signs or checks needs the package."""
    from cryptography import exceptions
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return exceptions, serialization, ed25519


def _signature_proof(content: bytes, signature: Any, public: Path | None) -> Proof:
    expected = None if public is None else _public_key(public).public_bytes_raw().hex()
    if signature is None:
        why = "it is not signed: anybody can have written it, and its sum"
        label, words = ("UNTESTABLE", why) if expected is None else ("FAIL", "it is not signed with the key given")
        return Proof(SIGNATURE, label, words)  # type: ignore[arg-type]  # one of two labels
    try:
        signed = decode(Signature, signature)
        valid = _is_valid(signed, content)
    except ImportError:
        return Proof(SIGNATURE, "UNTESTABLE", f"it is signed, and nothing here can check that: {NO_CRYPTOGRAPHY}")
    except (StoreError, ValueError):  # other fields, no hexadecimal digits, or too few of them
        return Proof(SIGNATURE, "FAIL", "it is no signature: it was cut off or edited")
    whose = f"the key {signed.public_key[:16]}..."
    if not valid:
        return Proof(SIGNATURE, "FAIL", f"{whose} did not sign this content: it was edited, or its signature was")
    if expected is not None and signed.public_key != expected:
        return Proof(SIGNATURE, "FAIL", f"signed with {whose}, not with the key given ({expected[:16]}...)")
    rest = "the key given" if expected is not None else "whose that is --public FILE can tell"
    return Proof(SIGNATURE, "PASS", f"signed with {whose}, {rest}")


def _is_valid(signed: Signature, content: bytes) -> bool:
    exceptions, _, ed25519 = _cryptography()
    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(signed.public_key))
        key.verify(bytes.fromhex(signed.value), content)
    except exceptions.InvalidSignature:
        return False
    return True
