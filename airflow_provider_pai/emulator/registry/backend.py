"""Images of the registry: any name that is asked for is there, since jobs run without images here."""

from __future__ import annotations

import hashlib

from airflow_provider_pai.emulator.account import Account

KIND = "registry-tag"


class RegistryBackend:
    """Tags and what they stand for."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def digest(self, name: str, reference: str) -> str:
        """Return the digest of a tag: that of what was pushed last, else one made of its name."""
        pushed = self.account.store.get(KIND, f"{name}:{reference}")
        return str(pushed["Digest"]) if pushed else digest_of(f"{name}:{reference}".encode())

    def push(self, name: str, reference: str, manifest: bytes) -> str:
        """Let a tag stand for another manifest."""
        digest = digest_of(manifest)
        self.account.store.put(KIND, f"{name}:{reference}", {"Digest": digest})
        return digest


def digest_of(manifest: bytes) -> str:
    """Return the digest of a manifest."""
    return f"sha256:{hashlib.sha256(manifest).hexdigest()}"
