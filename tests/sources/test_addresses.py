import ipaddress

import pytest

from video_tool.errors import SourceRefusedError
from video_tool.settings import Settings
from video_tool.sources.addresses import address_of, canonical_host, is_metadata_service, use_of, use_of_name
from video_tool.sources.policy import check_url

NOT_PUBLIC = {
    "loopback": ["127.0.0.1", "127.0.0.2", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"],
    "private in IPv6": ["fc00::1", "fd00::1", "fd12:3456:789a:1::1"],
    "link-local": ["169.254.0.1", "169.254.255.254", "fe80::1", "febf::1", "fe80::1%1"],
    "site-local": ["fec0::1", "feff::1"],
    "carriers": ["100.64.0.1", "100.127.255.254"],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "reserved": ["240.0.0.1", "255.255.255.255", "192.0.0.1", "192.0.0.8", "192.0.0.170", "4000::1", "e000::1"],
    "documentation": ["192.0.2.1", "198.51.100.7", "203.0.113.9", "2001:db8::1", "3fff::1", "3fff:fff::1"],
    "benchmarks": ["198.18.0.1", "198.19.255.254", "2001:2::1"],
    "relays and sinks": ["192.88.99.1", "192.52.193.1", "192.31.196.1", "192.175.48.1", "2620:4f:8000::1", "100::1"],
    "protocols": ["2001:1::1", "2001:10::1", "2001:20::1", "5f00::1", "3ffe::1", "100:0:0:1::1"],
    "metadata services": ["169.254.169.254", "169.254.170.2", "100.100.100.200", "fd00:ec2::254", "fd20:ce::254"],
    "mapped": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0"],
    "translated or compatible": ["::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8", "::127.0.0.1", "::8.8.8.8"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "64:ff9b:1::808:808"],
    "6to4": ["2002:7f00:1::1", "2002:a00:1::", "2002:808:808::1"],
    "Teredo": ["2001::1", "2001:0:7f00:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "ISATAP": ["2600::5efe:127.0.0.1", "2600::200:5efe:10.0.0.1", "fe80::5efe:192.168.1.1", "2600::5efe:8.8.8.8"],
}

PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "93.184.215.14", "100.63.255.255", "100.128.0.1"),
    *("126.255.255.255", "128.0.0.1", "169.253.255.255", "172.15.255.255", "172.32.0.1", "192.0.1.1", "192.167.0.1"),
    *("192.169.0.1", "198.17.255.255", "198.20.0.1", "203.0.112.1", "223.255.255.254"),
    *("2606:4700:4700::1111", "2001:4860:4860::8888", "2a00:1450:4001:80b::200e", "2003::1"),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8"),
]


def url_of(address: str) -> str:
    return f"https://[{address}]/a.mp4" if ":" in address else f"https://{address}/a.mp4"


def test_there_are_enough_of_them():
    addresses = {ipaddress.ip_address(address) for kind in NOT_PUBLIC.values() for address in kind}
    assert len(addresses) >= 80
    assert len(set(PUBLIC)) >= 20


@pytest.mark.parametrize("address", [address for kind in NOT_PUBLIC.values() for address in kind])
def test_addresses_that_are_not_public(address: str):
    assert use_of(ipaddress.ip_address(address))
    with pytest.raises(SourceRefusedError):
        check_url(url_of(address), Settings())


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_that_are_public(address: str):
    assert use_of(ipaddress.ip_address(address)) is None
    check_url(url_of(address), Settings())


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0X7F000001", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0x7f.0.0.1", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("10.1", "10.0.0.1"),
        ("0xa9fea9fe", "169.254.169.254"),
        ("169.254.43518", "169.254.169.254"),
        ("127。0。0。1", "127.0.0.1"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
        ("①②⑦.0.0.1", "127.0.0.1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("::FFFF:7F00:1", "::ffff:7f00:1"),
        ("LOCALHOST", "localhost"),
        ("localhost.", "localhost"),
        ("ⓛⓞⓒⓐⓛⓗⓞⓢⓣ", "localhost"),
        ("\uff4c\uff4fcalhost", "localhost"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("a_b.example", "a_b.example"),
    ],
)
def test_hosts_are_looked_up_in_one_form(written: str, meant: str):
    assert canonical_host(written) == meant


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "..",
        "a..b",
        "1.2.3.4.5",
        "127.0.0.256",
        "0x7f.1.1.1.1",
        "example.1",
        "a b",
        "a%62",
        "x" * 64,
        ":",
        "::g",
    ],
)
def test_what_is_no_host(host: str):
    with pytest.raises(ValueError):  # noqa: PT011
        canonical_host(host)


@pytest.mark.parametrize(
    "name",
    ["localhost", "a.localhost", "localhost.localdomain", "printer.local", "a.b.internal", "router.home.arpa"],
)
def test_names_that_are_not_public(name: str):
    assert use_of_name(name)


@pytest.mark.parametrize("name", ["example.org", "local.example", "localhost.example", "arpa", "notlocal"])
def test_names_that_are_public(name: str):
    assert use_of_name(name) is None


@pytest.mark.parametrize(
    "host",
    [
        *("metadata", "metadata.google.internal", "metadata.goog", "instance-data", "metadata.azure.internal"),
        *("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "169.254.170.2"),
        *("::ffff:169.254.169.254", "64:ff9b::169.254.169.254"),
    ],
)
def test_metadata_services(host: str):
    assert is_metadata_service(host)


@pytest.mark.parametrize("host", ["example.org", "metadata.example.org", "8.8.8.8", "169.254.1.1"])
def test_other_hosts_are_no_metadata_services(host: str):
    assert not is_metadata_service(host)


def test_names_are_no_addresses():
    assert address_of("example.org") is None
    assert address_of("127.0.0.1") == ipaddress.ip_address("127.0.0.1")
