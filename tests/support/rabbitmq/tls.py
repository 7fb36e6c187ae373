"""A TLS listener on a private node, with any certificate, for the time of a test."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from support.rabbitmq.node import PrivateNode

__all__ = ["Identity", "listening"]


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its chain and its key, as PEM."""

    pem: bytes

    @classmethod
    def issued(
        cls,
        authority: trustme.CA,
        name: str,
        *,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
    ) -> Identity:
        """Sign it by an authority."""
        leaf = authority.issue_cert(name, not_before=not_before, not_after=not_after)
        return cls(leaf.private_key_and_cert_chain_pem.bytes())

    @classmethod
    def self_signed(cls) -> Identity:
        """Sign it by itself."""
        authority = trustme.CA()
        return cls(authority.private_key_pem.bytes() + authority.cert_pem.bytes())

    def write(self, path: Path) -> Path:
        """Write it to a file that only its owner can read."""
        path.touch(mode=0o600)
        path.write_bytes(self.pem)
        return path


@contextmanager
def listening(
    node: PrivateNode, identity: Identity, clients: trustme.CA, *, verify: bool = False, require: bool = False
) -> Iterator[int]:
    """Open a listener on a free port of loopback, and yield the port.

    Args:
        node: the node.
        identity: the certificate of the listener.
        clients: the authority of client certificates.
        verify: whether client certificates are verified (verify_peer).
        require: whether a client certificate is required (fail_if_no_peer_cert).
    """
    port = node.free_port()
    certificate = identity.write(node.folder / f"{port}.pem")
    trusted = node.folder / f"{port}-clients.pem"
    clients.cert_pem.write_to_path(trusted)
    options = (
        f'{{cacertfile, "{trusted}"}}, {{certfile, "{certificate}"}}, {{keyfile, "{certificate}"}}, '
        f"{{verify, {'verify_peer' if verify else 'verify_none'}}}, {{fail_if_no_peer_cert, {str(require).lower()}}}"
    )
    address = f'{{"{node.host}", {port}, auto}}'
    node.eval("rabbit_networking:ensure_ssl()", f"ok = rabbit_networking:start_ssl_listener({address}, [{options}], 2)")
    try:
        yield port
    finally:
        node.eval(f"ok = rabbit_networking:stop_tcp_listener({address})")
