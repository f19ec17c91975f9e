"""Finding routes, and what the one table of them promises."""

from __future__ import annotations

import json
import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from imserver.http.answers import Refused
from imserver.http.api import ROUTES
from imserver.http.incoming import segments
from imserver.http.openapi import document
from imserver.http.table import Access, Call, Nothing, Route, Table


async def nothing(call: Call) -> Nothing:
    return Nothing()


def route(method: str, path: str) -> Route:
    return Route(method, path, path, "", Access.ANYBODY, nothing)


class Finding(SynchronousTestCase):
    """`Table.find`."""

    def setUp(self) -> None:
        self.table = Table(
            [
                route("GET", "/api/a"),
                route("POST", "/api/a"),
                route("GET", "/api/a/{x}"),
                route("PUT", "/api/a/{x}/{y}"),
            ]
        )

    def refusal(self, method: str, *parts: str) -> Refused:
        refused: Refused = self.assertRaises(Refused, self.table.find, method, list(parts))
        return refused

    def test_found(self) -> None:
        found, values = self.table.find("PUT", ["api", "a", "1", "2/3"])
        self.assertEqual(("/api/a/{x}/{y}", {"x": "1", "y": "2/3"}), (found.path, values))
        self.assertEqual("/api/a", self.table.find("HEAD", ["api", "a"])[0].path)

    def test_not_found(self) -> None:
        for parts in (
            ("api",),
            ("api", "b"),
            ("api", "a", ""),
            ("api", "a", "1", "2", "3"),
            ("", "api", "a"),
        ):
            self.assertEqual(404, self.refusal("GET", *parts).status, parts)

    def test_another_method(self) -> None:
        refused = self.refusal("DELETE", "api", "a")
        self.assertEqual((405, {"allow": "GET, HEAD, POST"}), (refused.status, refused.headers))
        self.assertEqual({"allow": "PUT"}, self.refusal("GET", "api", "a", "1", "2").headers)
        self.assertEqual(405, self.refusal("get", "api", "a").status)

    def test_no_route_twice(self) -> None:
        self.assertRaises(ValueError, Table, [route("GET", "/api/{a}"), route("GET", "/api/{b}")])

    def test_segments(self) -> None:
        self.assertEqual(["api", "a/b", "é", ""], segments(b"/api/a%2Fb/%C3%A9/"))
        self.assertIsNone(segments(b"/api/%ff"))


class TheDocument(SynchronousTestCase):
    """What `openapi.document` says of the real table."""

    def setUp(self) -> None:
        self.document: dict[str, Any] = json.loads(document(ROUTES))

    def test_every_route_is_described(self) -> None:
        described = {
            (method.upper(), path) for path, methods in self.document["paths"].items() for method in methods
        }
        self.assertEqual({(one.method, one.path) for one in ROUTES}, described)
        names = [one.name for one in ROUTES]
        self.assertEqual(len(names), len(set(names)))

    def test_every_reference_leads_somewhere(self) -> None:
        references = set(re.findall(r'"#/([^"]+)"', json.dumps(self.document)))
        self.assertTrue(references)
        for reference in references:
            place: Any = self.document
            for part in reference.split("/"):
                place = place[part]

    def test_administration_is_for_administrators(self) -> None:
        for one in ROUTES:
            self.assertEqual(one.path.startswith("/api/admin/"), one.access is Access.ADMIN, one.path)
            operation = self.document["paths"][one.path][one.method.lower()]
            self.assertEqual(one.access is not Access.ANYBODY, "security" in operation, one.path)
            self.assertEqual(one.access is not Access.ANYBODY or "401" in operation["responses"], True)

    def test_only_log_in_is_for_anybody(self) -> None:
        self.assertEqual(
            {"login", "register", "refresh"}, {one.name for one in ROUTES if one.access is Access.ANYBODY}
        )
