"""Keys, certificates and kubeconfigs of the cluster."""

import base64
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID: Final = timedelta(days=7)
_CLOCK_SKEW: Final = timedelta(minutes=5)
_USAGES: Final = (ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH)


@dataclass(frozen=True)
class Authority:
    """The cluster's certificate authority: NAME.crt and NAME.key files in one folder, its own called `ca`."""

    folder: Path

    def certificate_path(self, name: str = "ca") -> Path:
        return self.folder / f"{name}.crt"

    def key_path(self, name: str = "ca") -> Path:
        return self.folder / f"{name}.key"

    def create(self) -> None:
        """Make the authority's own certificate, and the key pair that signs the tokens of service accounts."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "meshinsight test cluster")])
        builder = _builder(subject, subject, key.public_key(), VALID)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._write("ca", key, builder.sign(key, hashes.SHA256()))
        accounts = ec.generate_private_key(ec.SECP256R1())
        _write_secret(self.key_path("service-accounts"), _key_pem(accounts))
        public = accounts.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.folder.joinpath("service-accounts.pub").write_bytes(public)

    def issue(
        self,
        name: str,
        user: str,
        *,
        groups: Sequence[str] = (),
        hosts: Sequence[str] = (),
        valid: timedelta = VALID,
    ) -> None:
        """Make NAME.crt and NAME.key for a user of the API in `groups`, or a server reachable as `hosts`.

        A negative `valid` gives a certificate that has expired already.
        """
        authority = x509.load_pem_x509_certificate(self.certificate_path().read_bytes())
        authority_key = load_pem_private_key(self.key_path().read_bytes(), password=None)
        assert isinstance(authority_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        builder = _builder(subject, authority.subject, key.public_key(), valid)
        builder = builder.add_extension(x509.ExtendedKeyUsage(_USAGES), critical=False)
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        self._write(name, key, builder.sign(authority_key, hashes.SHA256()))

    def write_kubeconfig(self, path: Path, server: str, name: str) -> None:
        """Write a kubeconfig that holds all it needs, for the user whose certificate is called `name`."""

        def data(file: Path) -> str:
            return base64.b64encode(file.read_bytes()).decode()

        cluster = {"server": server, "certificate-authority-data": data(self.certificate_path())}
        user = {
            "client-certificate-data": data(self.certificate_path(name)),
            "client-key-data": data(self.key_path(name)),
        }
        context = "meshinsight-test"
        config: Mapping[str, object] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": context, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": name}}],
            "current-context": context,
        }
        _write_secret(path, yaml.safe_dump(config, sort_keys=False).encode())

    def _write(self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self.certificate_path(name).write_bytes(certificate.public_bytes(Encoding.PEM))
        _write_secret(self.key_path(name), _key_pem(key))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, valid: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW + min(valid, timedelta(0)))
        .not_valid_after(now + valid)
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_secret(path: Path, data: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(data)
