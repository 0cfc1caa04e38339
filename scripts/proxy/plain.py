"""HTTP without TLS, behind a mesh that encrypts: where it may be spoken, and whose word of callers counts."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from lungct_tools.proxy.nginx import GatewayError

WARNING = (
    "--plain: keys and slices travel unencrypted. Whoever is on the way reads both, unless a mesh encrypts them; "
    "elsewhere leave --plain out"
)
WIDEST = 8  # bits that all addresses of a network share at least


def check_address(host: str) -> None:
    """GatewayError unless it is loopback, or one address of this machine in numbers."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        if host == "localhost":
            return
        raise GatewayError(
            f"--plain needs one address in numbers, such as --listen 127.0.0.1:8080, not {host}."
        ) from None
    if (getattr(address, "ipv4_mapped", None) or address).is_unspecified:
        told = "--plain on every address would show keys and slices to every network of this machine"
        raise GatewayError(f"{told}; name one, such as --listen 127.0.0.1:8080, or the pod's own.")


def read_proxies(words: Sequence[str]) -> tuple[str, ...]:
    """Addresses and networks of `--trusted-proxy`; GatewayError for what is none, or is nearly everybody."""
    found = []
    for word in words:
        try:
            network = ipaddress.ip_network(word)
        except ValueError:
            told = "--trusted-proxy must be an address or a network, such as 10.0.0.7 or 10.244.0.0/16"
            raise GatewayError(f"{told}, not {word}.") from None
        if network.prefixlen < WIDEST:
            raise GatewayError(f"--trusted-proxy {word}: so many could name any address as theirs; name your proxy's.")
        found.append(str(network))
    return tuple(found)
