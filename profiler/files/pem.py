"""PEM files that the user gave, checked."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from profiler.errors import UsageError
from profiler.vocabulary.addresses import Certificates

if TYPE_CHECKING:
    from cryptography import x509


def check_certificates(files: Certificates) -> None:
    """Look at certificates that the user gave.

    Raises:
        UsageError: a file cannot be read, is no PEM, has expired or is not valid yet; the message names it.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    now = datetime.now(UTC).replace(tzinfo=None)
    for path in (files.chain, files.authority):
        try:
            found = x509.load_pem_x509_certificate(path.read_bytes())
        except OSError as error:
            raise UsageError(f"{path}: certificate cannot be read: {error.strerror or error}") from error
        except ValueError as error:
            raise UsageError(f"{path}: not a certificate in PEM format; convert it with openssl x509") from error
        first, last = _validity(found)
        if not first <= now <= last:
            raise UsageError(f"{path}: certificate is valid from {first} to {last} UTC only; renew it")
    try:
        load_pem_private_key(files.key.read_bytes(), password=None)
    except OSError as error:
        raise UsageError(f"{files.key}: key cannot be read: {error.strerror or error}") from error
    except (TypeError, ValueError) as error:
        raise UsageError(f"{files.key}: not an unencrypted key in PEM format; convert it with openssl pkey") from error


def _validity(certificate: "x509.Certificate") -> tuple[datetime, datetime]:
    first = certificate.not_valid_before_utc.replace(tzinfo=None)
    return first, certificate.not_valid_after_utc.replace(tzinfo=None)
