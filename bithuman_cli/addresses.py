"""IP addresses in options, requests and sockets."""

from __future__ import annotations

import ipaddress

__all__ = ["Address", "is_loopback", "is_wildcard", "parse_address"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> Address | None:
    """The address that a text is; None for names and everything else."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there."""
    address = parse_address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def is_wildcard(host: str) -> bool:
    """Whether this is not one address but all of this machine: ``0.0.0.0`` or ``::``."""
    address = parse_address(host)
    return address is not None and address.is_unspecified
