"""Keys and certificates, made fresh at each `up`: SSH keys of hosts and people, the lab's own certificate
authority, and the key that signs the mirror."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from lab.commands import capture
from lab.layout import Layout
from lab.services.portal_store import hash_password

PEOPLE = ("controller", "auditor", "publisher")


def make_ssh_key(path: Path, comment: str) -> tuple[bytes, bytes]:
    """An Ed25519 key pair at `path` and `path`.pub; returns (private, public)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    capture(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])
    return path.read_bytes(), path.with_name(path.name + ".pub").read_bytes()


def make_authority(layout: Layout) -> Path:
    """The lab's certificate authority; returns its certificate, STATE/ca.pem."""
    folder = layout.certificates
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    certificate = layout.state / "ca.pem"
    capture(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "30",
            "-subj",
            f"/O=wardnet lab/CN=wardnet lab {layout.name} authority",
            "-addext",
            "basicConstraints=critical,CA:TRUE,pathlen:0",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout",
            folder / "ca.key",
            "-out",
            certificate,
        ]
    )
    return certificate


def make_certificate(
    layout: Layout, host: str, names: tuple[str, ...], addresses: tuple[str, ...]
) -> tuple[bytes, bytes]:
    """A server certificate for `host`, good for `names` and `addresses`; returns (key, certificate)."""
    folder = layout.certificates
    key, request, certificate = (folder / f"{host}.{suffix}" for suffix in ("key", "csr", "pem"))
    extensions = folder / f"{host}.ext"
    alternatives = ",".join([*(f"DNS:{name}" for name in names), *(f"IP:{address}" for address in addresses)])
    extensions.write_text(
        f"subjectAltName={alternatives}\nbasicConstraints=critical,CA:FALSE\n"
        "keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\n"
    )
    capture(
        [
            "openssl",
            "req",
            "-new",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            f"/CN={names[0] if names else host}"[:70],
            "-keyout",
            key,
            "-out",
            request,
        ]
    )
    capture(
        [
            "openssl",
            "x509",
            "-req",
            "-in",
            request,
            "-CA",
            layout.state / "ca.pem",
            "-CAkey",
            folder / "ca.key",
            "-CAcreateserial",
            "-days",
            "30",
            "-extfile",
            extensions,
            "-out",
            certificate,
        ]
    )
    return key.read_bytes(), certificate.read_bytes()


CLERK = "canbo"


def portal_accounts(layout: Layout) -> bytes:
    """The accounts of the portal: one clerk, whose password is kept in STATE/portal-password."""
    path = layout.state / "portal-password"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(12) + "\n")
    salt = secrets.token_hex(8)
    account = {"salt": salt, "hash": hash_password(path.read_text().strip(), salt)}
    return json.dumps({CLERK: account}).encode()
