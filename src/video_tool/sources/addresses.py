"""Which hosts are on the public internet, by address and by name.

`ipaddress.is_global` is not enough: releases of Python differ in what they count as global, and none of them looks
into addresses that carry another one. The tables here follow IANA's registries of special-purpose addresses (RFC 6890,
kept at iana.org/assignments/iana-ipv4-special-registry and iana-ipv6-special-registry) and come first; what they leave
still has to be global to Python.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address

_IPV4: Final[dict[str, str]] = {
    "0.0.0.0/8": "this network (RFC 791)",
    "10.0.0.0/8": "private (RFC 1918)",
    "100.64.0.0/10": "shared by customers of a carrier (RFC 6598)",
    "127.0.0.0/8": "loopback (RFC 1122)",
    "169.254.0.0/16": "link-local (RFC 3927)",
    "172.16.0.0/12": "private (RFC 1918)",
    "192.0.0.0/24": "kept for protocols (RFC 6890)",
    "192.0.2.0/24": "kept for documentation (RFC 5737)",
    "192.31.196.0/24": "a sink for reverse lookups (RFC 7535)",
    "192.52.193.0/24": "a multicast relay (RFC 7450)",
    "192.88.99.0/24": "a 6to4 relay (RFC 7526)",
    "192.168.0.0/16": "private (RFC 1918)",
    "192.175.48.0/24": "a sink for reverse lookups (RFC 7534)",
    "198.18.0.0/15": "kept for benchmarks (RFC 2544)",
    "198.51.100.0/24": "kept for documentation (RFC 5737)",
    "203.0.113.0/24": "kept for documentation (RFC 5737)",
    "224.0.0.0/4": "multicast (RFC 5771)",
    "255.255.255.255/32": "broadcast (RFC 8190)",
    "240.0.0.0/4": "reserved (RFC 1112)",
}

_IPV6: Final[dict[str, str]] = {
    "::/128": "unspecified (RFC 4291)",
    "::1/128": "loopback (RFC 4291)",
    "::/96": "an IPv4 address in IPv6's former way (RFC 4291)",
    "::ffff:0:0:0/96": "a translated IPv4 address (RFC 2765)",
    "64:ff9b:1::/48": "NAT64 of the local network (RFC 8215)",
    "100::/64": "for discarding (RFC 6666)",
    "100:0:0:1::/64": "a dummy prefix (RFC 9780)",
    "2001::/32": "Teredo (RFC 4380)",
    "2001::/23": "kept for protocols (RFC 2928)",
    "2001:db8::/32": "kept for documentation (RFC 3849)",
    "2002::/16": "6to4 (RFC 3056)",
    "2620:4f:8000::/48": "a sink for reverse lookups (RFC 7534)",
    "3ffe::/16": "the former 6bone (RFC 3701)",
    "3fff::/20": "kept for documentation (RFC 9637)",
    "5f00::/16": "for segment routing (RFC 9602)",
    "fc00::/7": "private (RFC 4193)",
    "fe80::/10": "link-local (RFC 4291)",
    "fec0::/10": "site-local (RFC 3879)",
    "ff00::/8": "multicast (RFC 4291)",
}

_METADATA_ADDRESSES: Final = frozenset(
    ipaddress.ip_address(address)
    for address in (
        "169.254.169.254",  # AWS, Google Cloud, Azure, OpenStack and most others
        "169.254.170.2",  # credentials of AWS's containers
        "169.254.170.23",  # credentials of AWS's pods
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # credentials of AWS's pods
        "fd20:ce::254",  # Google Cloud
        "fe80::a9fe:a9fe",  # OpenStack
        "168.63.129.16",  # Azure, in the midst of public addresses
        "100.100.100.200",  # Alibaba Cloud
        "192.0.0.192",  # Oracle Cloud
        "169.254.0.23",  # Tencent Cloud
    )
)

_METADATA_NAMES: Final = frozenset(
    (
        "instance-data",  # AWS
        "instance-data.ec2.internal",
        "metadata",  # Google Cloud
        "metadata.goog",
        "metadata.google.internal",
        "metadata.azure.internal",
        "metadata.platformequinix.com",
        "metadata.packet.net",
        "metadata.tencentyun.com",
        "rancher-metadata",
    )
)

_PRIVATE_NAMES: Final[dict[str, str]] = {
    "localhost": "loopback (RFC 6761)",
    "localdomain": "this machine's own",
    "local": "of the local network (RFC 6762)",
    "internal": "for private use (ICANN, 2024)",
    "home.arpa": "of a home network (RFC 8375)",
}

_NETWORKS: Final[tuple[tuple[IPv4Network | IPv6Network, str], ...]] = tuple(
    (ipaddress.ip_network(network), use) for network, use in (*_IPV4.items(), *_IPV6.items())
)
_NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052
_GLOBAL_UNICAST: Final = IPv6Network("2000::/3")  # RFC 4291: nothing else has been given out
_ISATAP: Final = 0x5EFE  # RFC 5214: the upper half of the interface identifier, but for the bit that says "universal"
_ENDS_IN_A_NUMBER: Final = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)", re.IGNORECASE)


def canonical_host(host: str) -> str:
    """Return a host as it is looked up: in ASCII (IDNA), in lower case, without the dot of the root.

    Addresses come in their usual form, however they are written: decimal, octal, hexadecimal or with parts left out,
    as `inet_aton` reads them and so do resolvers.

    Raises:
        ValueError: no host at all, a label that is empty or too long, or a number that is no address.
    """
    if ":" in host:
        return str(IPv6Address(host))
    host = host.encode("idna").decode("ascii").lower().removesuffix(".")
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", host):
        raise ValueError("no host")
    if not _ENDS_IN_A_NUMBER.fullmatch(host):
        return host
    try:
        return str(IPv4Address(socket.inet_aton(host)))
    except OSError as error:
        raise ValueError("a number that is no address") from error


def address_of(host: str) -> Address | None:
    """Return the address that a canonical host is, or None when it is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def use_of(address: Address) -> str | None:
    """Return what an address is kept for, in words and with its source, or None when it is public.

    IPv4 addresses in IPv6 are judged by the address inside where the network would take them there: mapped ones
    (RFC 4291) and those of NAT64's well-known prefix (RFC 6052). All others with one inside are refused, whatever it
    is: 6to4, Teredo, ISATAP and the like are no longer how a public server is reached.
    """
    address = _unwrapped(address)
    for network, use in _NETWORKS:
        if address in network:
            return use
    if isinstance(address, IPv6Address):
        if address.scope_id:
            return "of a zone of this machine (RFC 4007)"
        if (int(address) >> 32) & 0xFDFFFFFF == _ISATAP:
            return "ISATAP (RFC 5214)"
        if address not in _GLOBAL_UNICAST:
            return "reserved (RFC 4291)"
    return None if address.is_global else "not global (RFC 6890)"


def use_of_name(host: str) -> str | None:
    """Return what a canonical name is kept for, or None when anybody's server may have it."""
    labels = host.split(".")
    for count in range(1, 3):
        use = _PRIVATE_NAMES.get(".".join(labels[-count:]))
        if use:
            return use
    return None


def is_metadata_service(host: str) -> bool:
    """Return whether a canonical host, a name or an address, is where a cloud hands out credentials."""
    address = address_of(host)
    return host in _METADATA_NAMES if address is None else _unwrapped(address) in _METADATA_ADDRESSES


def _unwrapped(address: Address) -> Address:
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
