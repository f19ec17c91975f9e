"""What doctor looks at."""

from __future__ import annotations

import errno
import os
import socket
from collections import deque
from collections.abc import Sequence

from imserver.cli import checks
from imserver.cli.checks import Finding, Status
from imserver.config import Configuration, Listener
from imserver.config.limits import Limits
from imserver.config.schema import Auth, Proxies, Tls
from tests.unit.cli.running import CliCase

NOW = 1_790_000_000.0


def worst(findings: Sequence[Finding]) -> Status:
    """The worst of them."""
    order = list(Status)
    return max((finding.status for finding in findings), key=order.index)


class CheckTests(CliCase):
    def setUp(self) -> None:
        super().setUp()
        self.data.mkdir(mode=0o700)

    def clock(self, *times: float) -> Finding:
        """Of a wall clock that shows these times, while 0.2 s pass."""
        wall, steady = deque(times), deque([50.0, 50.2])
        (found,) = checks.clock(self.data, wall.popleft, steady.popleft, lambda seconds: None)
        return found

    def test_clock(self) -> None:
        self.assertEqual(self.clock(NOW, NOW + 0.2).status, Status.OK)
        self.assertEqual(self.clock(NOW, NOW + 0.4).status, Status.WARN)
        self.assertEqual(self.clock(NOW, NOW - 3600).status, Status.WARN)
        self.assertEqual(self.clock(0.0, 0.2).status, Status.FAIL)
        database = self.data / "imserver.db"
        database.touch()
        os.utime(database, (NOW + 3600, NOW + 3600))
        self.assertIn("set back", self.clock(NOW, NOW + 0.2).text)
        os.utime(database, (NOW - 3600, NOW - 3600))
        self.assertEqual(self.clock(NOW, NOW + 0.2).status, Status.OK)

    def test_open_files(self) -> None:
        for connections, status in ((10, Status.OK), (100_000_000, Status.WARN)):
            settings = Configuration(limits=Limits(connections=connections))
            for pid in (0, os.getpid(), 2**22 + 1):
                self.assertEqual(worst(checks.open_files(settings, pid)), status)

    def test_permissions(self) -> None:
        self.assertEqual(worst(checks.data_directory(self.data)), Status.OK)
        keys = self.data / "token-keys.json"
        keys.touch(mode=0o600)
        self.assertEqual(worst(checks.data_directory(self.data)), Status.OK)
        keys.chmod(0o640)
        self.assertIn("chmod 600", checks.data_directory(self.data)[0].text)
        self.assertEqual(worst(checks.data_directory(self.data)), Status.FAIL)
        keys.unlink()
        self.data.chmod(0o755)
        self.assertEqual(worst(checks.data_directory(self.data)), Status.WARN)
        self.assertEqual(worst(checks.data_directory(self.data / "none")), Status.WARN)
        (self.data / "file").touch()
        self.assertEqual(worst(checks.data_directory(self.data / "file")), Status.FAIL)

    def test_disk(self) -> None:
        findings = checks.disk(self.data)
        self.assertEqual([finding.check for finding in findings], ["disk", "disk"])
        self.assertIn("durable write", findings[1].text)
        self.assertEqual(list(self.data.iterdir()), [])
        self.patch(checks, "FREE_FAIL", 2**62)
        self.assertEqual(worst(checks.disk(self.data)), Status.FAIL)
        self.patch(checks, "FREE_FAIL", 0)
        self.patch(checks, "FREE_WARN", 2**62)
        self.assertEqual(worst(checks.disk(self.data)), Status.WARN)
        self.patch(checks, "FREE_WARN", 0)
        self.patch(checks, "sync_times", lambda data: [0.1] * 3)
        self.assertEqual(worst(checks.disk(self.data)), Status.WARN)

        def full(data: object) -> list[float]:
            raise OSError(errno.ENOSPC, "No space left on device")

        self.patch(checks, "sync_times", full)
        self.assertEqual(worst(checks.disk(self.data)), Status.FAIL)
        self.assertEqual(checks.disk(self.data / "none"), [])

    def test_ports(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            endpoint = f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"
            settings = Configuration(listener=(Listener("jsonline", endpoint),))
            (found,) = checks.ports(settings, [])
            self.assertEqual(found.status, Status.FAIL)
            self.assertIn("Address already in use; if a server of yours has it: --data-dir", found.text)
            (found,) = checks.ports(settings, ["tcp:1"])
            self.assertTrue(found.text.endswith("Address already in use"), found.text)
            (found,) = checks.ports(settings, [endpoint])
            self.assertEqual((found.status, found.text.endswith("by this server")), (Status.OK, True))
        (found,) = checks.ports(settings, [])
        self.assertEqual(found.status, Status.OK)
        for other, status in (
            ("unix:/tmp/x", Status.OK),
            ("tcp:99999:interface=127.0.0.1", Status.FAIL),
            ("tcp:0:interface=203.0.113.77", Status.FAIL),
        ):
            (found,) = checks.ports(Configuration(listener=(Listener("jsonline", other),)), [])
            self.assertEqual(found.status, status, found.text)

    def production(self, *listeners: Listener, registration: bool | None = None) -> list[Finding]:
        settings = Configuration(listener=listeners, auth=Auth(self_registration=registration))
        return checks.production(settings)

    def test_exposure(self) -> None:
        inside = Listener("jsonline", "tcp:8088:interface=127.0.0.1")
        self.assertEqual(worst(self.production(inside)), Status.OK)
        self.assertEqual(worst(self.production(inside, registration=True)), Status.OK)
        plain = self.production(inside, Listener("jsonline", "tcp:8088"))
        self.assertEqual([finding.status for finding in plain], [Status.WARN])
        self.assertIn("not encrypted", plain[0].text)
        encrypted = Listener("jsonline", "ssl:8088")
        self.assertEqual(worst(self.production(encrypted)), Status.OK)
        self.assertEqual(worst(self.production(encrypted, registration=True)), Status.WARN)
        tls = Listener("jsonline", "tcp:8088", tls=Tls("c.pem", "k.pem"))
        self.assertEqual(worst(self.production(tls)), Status.OK)
        proxied = Listener("jsonline", "tcp:8088", proxy_protocol=Proxies(("10.0.0.1",)))
        self.assertEqual(worst(self.production(proxied)), Status.OK)
        anybody = Listener("qdatastream", "ssl:8888", auth="none")
        self.assertEqual(worst(self.production(anybody)), Status.FAIL)

    def test_versions(self) -> None:
        self.assertEqual({finding.check for finding in checks.versions()}, {"versions", "nvx", "compiled"})


class DoctorTests(CliCase):
    LISTENER = ("--set", "listener.0.endpoint=tcp:0:interface=127.0.0.1")

    def doctor(self, code: int, *arguments: str) -> dict[str, list[str]]:
        """Status by check."""
        free = [
            word for n in range(5) for word in ("--set", f"listener.{n}.endpoint=tcp:0:interface=127.0.0.1")
        ]
        found: dict[str, list[str]] = {}
        for finding in self.json("doctor", *free, *arguments, code=code):
            found.setdefault(finding["check"], []).append(finding["status"])
        return found

    def test_healthy_or_not(self) -> None:
        self.data.mkdir(mode=0o700)
        found = self.doctor(0)
        self.assertNotIn("fail", {status for all in found.values() for status in all})
        self.assertEqual(found["server"], ["ok"])
        self.assertIn("ports", found)
        (self.data / "token-keys.json").touch()
        (self.data / "token-keys.json").chmod(0o666)
        self.assertEqual(self.doctor(4)["permissions"], ["fail"])

    def test_a_faulty_configuration_does_not_end_it(self) -> None:
        found = self.doctor(4, "--set", "limits.connections=many")
        self.assertEqual(found["configuration"], ["fail"])
        self.assertIn("clock", found)
        found = self.doctor(4, "--set", "listener.0.endpoint=nonsense")
        self.assertEqual(found["configuration"], ["fail"])

    def test_for_people(self) -> None:
        self.data.mkdir(mode=0o755)
        text = self.imserver("doctor", "--set", "listener.0.endpoint=tcp:99999:interface=127.0.0.1", code=4)
        signs = {line[:4] for line in text.splitlines()}
        self.assertEqual(signs, {"ok  ", "WARN", "FAIL"})
