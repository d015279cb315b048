"""The chapter on security: https://docs.celeryq.dev/en/stable/userguide/security.html"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from tests.compat.calling import note
from tests.compat.context import Context, outcome
from tests.compat.feature import feature
from tests.compat.tasks import add, got


@feature("JSON is what is accepted by default: `accept_content`", ["json"], once=True)
def accept_content_default(context: Context) -> Any:
    return list(context.make_app().conf.accept_content)


@feature("a pickle that is not accepted does not run", 0)
def pickle_refused(context: Context) -> Any:
    outcome(lambda: note.apply_async((context.key,), serializer="pickle"))
    got(add.delay(1, 1))
    return context.settled(lambda: len(context.marks()), 1)


@feature("`accept_content` by content type", 4)
def content_type(context: Context) -> Any:
    conf = {"accept_content": ["application/json"]}
    worker = context.worker(conf=conf)
    made = context.make_app(**conf)
    return got(made.send_task(add.name, (2, 2), queue=worker.queue))


def certificate(folder: Path) -> dict[str, Any]:
    """Settings of an application that signs, with a key and a certificate in the folder."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "compat")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "signing.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain)
    )
    (folder / "signing.pem").write_bytes(made.public_bytes(pem))
    return {
        "security_key": str(folder / "signing.key"),
        "security_certificate": str(folder / "signing.pem"),
        "security_cert_store": str(folder / "*.pem"),
        "security_digest": "sha256",
        "task_serializer": "auth",
        "accept_content": ["auth"],
    }


SIGNED = """
from tests.compat.calling import note
note.apply_async(("KEY", "signed"), queue="QUEUE", ignore_result=True)
"""
SIGNS = {"COMPAT_MODULES": "tests.compat.signing"}


@feature("message signing: the serializer `auth`", ["['signed']"], once=True, alone=True)
def auth(context: Context) -> Any:
    folder = context.shared.folder / context.key
    folder.mkdir()
    conf = certificate(folder)
    worker = context.worker(conf=conf, **SIGNS)
    script = SIGNED.replace("QUEUE", worker.queue).replace("KEY", context.key)
    context.python(script, conf=conf, **SIGNS)
    return context.wait_marks()


@feature("… and what is not signed does not run", 0, once=True, alone=True)
def unsigned(context: Context) -> Any:
    folder = context.shared.folder / context.key
    folder.mkdir()
    worker = context.worker(conf=certificate(folder), **SIGNS)
    note.apply_async((context.key,), queue=worker.queue)
    return context.settled(lambda: len(context.marks()))


@feature("passwords are censored where the configuration is shown", False, once=True)
def censored(context: Context) -> Any:
    made = context.make_app(security_key_password="not-for-logs")
    return "not-for-logs" in made.conf.humanize(with_defaults=False, censored=True)
