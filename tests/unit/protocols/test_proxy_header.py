"""PROXY headers: the examples of its document, every cut, and what is no header."""

from __future__ import annotations

import socket
import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.protocols.proxy import Trusted
from imserver.protocols.proxy_header import ProxyHeader, ProxyHeaderError, parse_header

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


def version_2(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


ADDRESSES_4 = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 5555, 443)
ADDRESSES_6 = (
    socket.inet_pton(socket.AF_INET6, "2001:db8::7")
    + socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + struct.pack("!HH", 5555, 443)
)
GOOD = [
    (b"PROXY TCP4 192.0.2.7 198.51.100.1 5555 443\r\n", "192.0.2.7", 5555),
    (b"PROXY TCP6 2001:db8::7 2001:db8::1 5555 443\r\n", "2001:db8::7", 5555),
    (b"PROXY UNKNOWN\r\n", "", 0),
    (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", "", 0),
    (version_2(0x21, 0x11, ADDRESSES_4), "192.0.2.7", 5555),
    (version_2(0x21, 0x11, ADDRESSES_4 + b"\x03\x00\x04abcd"), "192.0.2.7", 5555),
    (version_2(0x21, 0x21, ADDRESSES_6), "2001:db8::7", 5555),
    (version_2(0x20, 0x00, b""), "", 0),
    (version_2(0x20, 0x11, ADDRESSES_4), "", 0),
    (version_2(0x21, 0x00, b""), "", 0),
    (version_2(0x21, 0x31, bytes(216)), "", 0),
]
BAD = [
    b"GET / HTTP/1.1\r\n",
    b"{}\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"PROXX",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 5555\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 5555 443 1\r\n",
    b"PROXY TCP4 2001:db8::7 198.51.100.1 5555 443\r\n",
    b"PROXY TCP4 192.0.2.700 198.51.100.1 5555 443\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n",
    b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
    b"PROXY \xff\r\n",
    b"PROXY " + b"x" * 101,
    version_2(0x11, 0x11, ADDRESSES_4),
    version_2(0x22, 0x11, ADDRESSES_4),
    version_2(0x21, 0x11, ADDRESSES_4[:-1]),
    version_2(0x21, 0x21, ADDRESSES_4),
    version_2(0x21, 0x11, bytes(5000)),
]


class Headers(SynchronousTestCase):
    def test_headers(self) -> None:
        for data, host, port in GOOD:
            self.assertEqual(parse_header(data + b"rest"), ProxyHeader(host, port, len(data)), data)

    def test_every_beginning_asks_for_more(self) -> None:
        for data, _, _ in GOOD:
            for end in range(len(data)):
                self.assertIsNone(parse_header(data[:end]), data[:end])

    def test_what_is_none(self) -> None:
        for data in BAD:
            self.assertRaises(ProxyHeaderError, parse_header, data)

    @given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE]))
    def test_anything_else_is_refused_or_bounded(self, data: bytes, start: bytes) -> None:
        try:
            header = parse_header(start + data)
        except ProxyHeaderError:
            return
        if header is not None:
            self.assertLessEqual(header.length, len(start + data))


class Trust(SynchronousTestCase):
    trusted = Trusted(["10.0.0.0/24", "2001:db8::1"])

    def test_networks(self) -> None:
        for host in ("10.0.0.1", "10.0.0.255", "2001:db8::1", "::ffff:10.0.0.1"):
            self.assertIn(host, self.trusted)
        for host in ("10.0.1.1", "2001:db8::2", "", "localhost", "::1"):
            self.assertNotIn(host, self.trusted)

    def test_the_last_address_that_is_no_proxy_is_the_client(self) -> None:
        for values, client in (
            (["192.0.2.1"], "192.0.2.1"),
            (["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
            (["6.6.6.6", "192.0.2.1"], "192.0.2.1"),
            (["nonsense, 192.0.2.1"], "192.0.2.1"),
            (["6.6.6.6, 192.0.2.1, 10.0.0.7"], "192.0.2.1"),
            (["10.0.0.8, 10.0.0.7"], "10.0.0.8"),
        ):
            self.assertEqual(self.trusted.client_of("10.0.0.1", values), client)

    def test_spoofed_and_missing_ones_are_refused(self) -> None:
        for peer, values in (
            ("192.0.2.9", ["192.0.2.1"]),
            ("10.0.0.1", []),
            ("10.0.0.1", [""]),
            ("10.0.0.1", ["192.0.2.1, nonsense"]),
            ("10.0.0.1", ["unknown"]),
        ):
            self.assertRaises(ValueError, self.trusted.client_of, peer, values)
