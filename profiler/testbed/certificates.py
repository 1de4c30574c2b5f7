"""Certificates made for one run: an authority and one workload certificate, as a mesh's control plane issues them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from profiler.files.folders import write_private
from profiler.files.writing import READABLE, write_new
from profiler.proxies.base import PROXY_UID
from profiler.vocabulary.addresses import SERVER_NAME, Certificates

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

KEY: Final = "RSA 2048"
"""Kind of the workload's key: what Istio's agent asks for unless told otherwise."""

_IDENTITY: Final = "spiffe://meshinsight.local/ns/run/sa/workload"
_KEY_BITS: Final = 2048
_VALID: Final = timedelta(days=1)
_CLOCK_SKEW: Final = timedelta(minutes=5)


def certificates_in(directory: Path) -> Certificates:
    """Where those of a run are in their directory, made already or not."""
    return Certificates(directory / "chain.pem", directory / "key.pem", directory / "authority.pem")


def make_certificates(directory: Path) -> Certificates:
    """Make an authority and a workload certificate signed by it, as PEM files in `directory`.

    The key is readable by the user that proxies run as only, or by this one where that is not root.
    """
    from cryptography.hazmat.primitives.asymmetric import rsa

    authority_key, key = (rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS) for _ in range(2))
    authority = _certificate("meshinsight run authority", authority_key, None, authority_key)
    workload = _certificate(SERVER_NAME, key, authority, authority_key)
    files = certificates_in(directory)
    _write(files.authority, _pem(authority))
    _write(files.chain, _pem(workload))
    _write(files.key, _key_pem(key), private=True)
    return files


def make_role_certificates(directory: Path, roles: Sequence[str]) -> dict[str, Certificates]:
    """Make an authority and, signed by it, a certificate and key for each role, as PEM files in a folder per role.

    The role is the certificate's identity, `role_identity`, which the other side of a connection checks.
    """
    from cryptography.hazmat.primitives.asymmetric import rsa

    authority_key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    authority = _certificate("meshinsight run authority", authority_key, None, authority_key)
    made = {}
    for role in roles:
        key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
        (directory / role).mkdir(mode=0o700)
        files = made[role] = certificates_in(directory / role)
        _write(files.authority, _pem(authority))
        _write(files.chain, _pem(_certificate(SERVER_NAME, key, authority, authority_key, role_identity(role))))
        _write(files.key, _key_pem(key))
    return made


def role_identity(role: str) -> str:
    """The URI in the certificate of a role of a run."""
    return f"spiffe://meshinsight.local/ns/run/sa/{role}"


def copy_certificates(files: Certificates, directory: Path) -> Certificates:
    """A workload's files in `directory`, to be handed over with it to the user that the proxy runs as."""
    copies = certificates_in(directory)
    for source, target in ((files.chain, copies.chain), (files.key, copies.key), (files.authority, copies.authority)):
        _write(target, source.read_bytes(), private=target == copies.key)
    return copies


def _certificate(
    name: str,
    key: "RSAPrivateKey",
    issuer: "x509.Certificate | None",
    signing_key: "RSAPrivateKey",
    identity: str = _IDENTITY,
) -> "x509.Certificate":
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    )
    if issuer is not None:
        names = [x509.DNSName(name), x509.UniformResourceIdentifier(identity)]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signing_key, hashes.SHA256())


def _pem(certificate: "x509.Certificate") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: "RSAPrivateKey") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(file: Path, data: bytes, *, private: bool = False) -> None:
    if private:
        write_private(file, data, PROXY_UID)
        return
    file.unlink(missing_ok=True)
    write_new(file, data, READABLE)
