"""Certificates of a run, looked at by the `cryptography` library's own verifier."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from profiler.errors import UsageError
from profiler.files.pem import check_certificates
from profiler.testbed.certificates import make_certificates
from profiler.vocabulary.addresses import SERVER_NAME, Certificates


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def lasting(first: datetime, last: datetime, path: Path) -> Path:
    """A certificate valid in that time."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = builder.serial_number(1).not_valid_before(first).not_valid_after(last).sign(key, hashes.SHA256())
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path


def test_the_workload_is_signed_by_the_authority(files: Certificates) -> None:
    workload, authority = certificate(files.chain), certificate(files.authority)
    workload.verify_directly_issued_by(authority)
    authority.verify_directly_issued_by(authority)
    with pytest.raises(ValueError, match="does not match"):
        authority.verify_directly_issued_by(workload)


def test_the_workload_has_a_mesh_identity_and_the_name_that_clients_ask_for(files: Certificates) -> None:
    names = certificate(files.chain).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [SERVER_NAME]
    assert names.get_values_for_type(x509.UniformResourceIdentifier)[0].startswith("spiffe://")


def test_only_the_authority_may_sign(files: Certificates) -> None:
    may = [
        certificate(path).extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        for path in (files.authority, files.chain)
    ]
    assert may == [True, False]


def test_the_key_belongs_to_the_workload(files: Certificates) -> None:
    key = load_pem_private_key(files.key.read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    public = certificate(files.chain).public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(key.sign(b"x", padding.PKCS1v15(), hashes.SHA256()), b"x", padding.PKCS1v15(), hashes.SHA256())


def test_they_are_valid_now_and_for_longer_than_any_run(files: Certificates) -> None:
    now = datetime.now(UTC)
    for path in (files.chain, files.authority):
        found = certificate(path)
        assert found.not_valid_before_utc < now < now + timedelta(hours=20) < found.not_valid_after_utc


def test_two_runs_trust_each_other_not(files: Certificates, tmp_path: Path) -> None:
    other = make_certificates(tmp_path)
    with pytest.raises(Exception, match=r"^$"):  # cryptography.exceptions.InvalidSignature says nothing
        certificate(other.chain).verify_directly_issued_by(certificate(files.authority))


def test_its_own_certificates_are_good(files: Certificates) -> None:
    check_certificates(files)


@pytest.mark.parametrize("which", ["chain", "authority", "key"])
def test_a_file_that_is_not_there_is_named(files: Certificates, which: str) -> None:
    with pytest.raises(UsageError, match=r"/no/such.pem: .* cannot be read: No such file or directory"):
        check_certificates(replace(files, **{which: Path("/no/such.pem")}))


@pytest.mark.parametrize("which", ["chain", "authority"])
def test_what_is_no_pem_is_refused(files: Certificates, tmp_path: Path, which: str) -> None:
    der = tmp_path / "own.der"
    der.write_bytes(certificate(files.chain).public_bytes(Encoding.DER))
    with pytest.raises(UsageError, match=r"own\.der: not a certificate in PEM format; convert it with openssl"):
        check_certificates(replace(files, **{which: der}))


def test_a_key_that_is_none_is_refused(files: Certificates, tmp_path: Path) -> None:
    (tmp_path / "own.key").write_text("no key")
    with pytest.raises(UsageError, match=r"own\.key: not an unencrypted key"):
        check_certificates(replace(files, key=tmp_path / "own.key"))


@pytest.mark.parametrize("days", [(-10, -1), (1, 10)], ids=["expired", "not yet valid"])
def test_a_certificate_that_is_not_valid_now_is_refused(
    files: Certificates, tmp_path: Path, days: tuple[int, int]
) -> None:
    first, last = (datetime.now(UTC) + timedelta(days=day) for day in days)
    path = lasting(first, last, tmp_path / "own.pem")
    with pytest.raises(UsageError, match=r"own\.pem: certificate is valid from .* UTC only; renew it"):
        check_certificates(replace(files, chain=path))
