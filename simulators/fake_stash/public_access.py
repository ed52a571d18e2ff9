"""Who may look in when no credentials are set: local addresses, and nobody else (pkg/session/authentication.go).

The first request from elsewhere trips a lock, and from then on everything answers 403 until the key is taken out of
config.yml and the server is started anew.
"""

import ipaddress
from collections.abc import Sequence

TRIPPED = "security_tripwire_accessed_from_public_internet"
DANGEROUS = "dangerous_allow_public_without_auth"
TRUSTED = "trusted_proxies"
_LOCAL = [
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8",
        "::1/128",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",
        "169.254.0.0/16",
        "fe80::/10",
        "100.64.0.0/10",
    )
]


class UntrustedProxy(Exception):
    """The request came through a proxy that is not on the list; the text is its address."""


def is_local(address: str) -> bool:
    """What cannot be read as an address is not."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return any(found in network for network in _LOCAL if network.version == found.version)


def outsider(peer: str, forwarded_for: str, trusted: Sequence[str]) -> str | None:
    """The public address a request comes from; None when it comes from here. Raises UntrustedProxy."""
    chain = forwarded_for.split(", ") if forwarded_for else []
    if chain and trusted:
        # Only the last entry was written by the proxy that is known.
        for proxy in (peer, *reversed(chain[1:])):
            if proxy not in trusted:
                raise UntrustedProxy(proxy)
        return None if is_local(chain[0]) else chain[0]
    return next((address for address in (peer, *chain) if not is_local(address)), None)
