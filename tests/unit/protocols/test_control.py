"""The control socket: who is let in, what is answered, what bad input comes to."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from imserver.model import admin
from imserver.model.errors import ErrorCode, ImError
from imserver.protocols.control import CONNECTIONS, IDLE_SECONDS, ControlFactory, peer_uid
from imserver.wire import control

LIST = b'{"id":%d,"command":"ListUsers"}\n'


class ControlCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[Any] = []
        self.waiting: list[Deferred[Any]] = []
        self.uid = os.geteuid()
        self.factory = ControlFactory(self.operate, self.clock, lambda transport: self.uid)

    async def operate(self, command: Any) -> Any:
        self.asked.append(command)
        answer: Deferred[Any] = Deferred()
        self.waiting.append(answer)
        return await answer

    def connect(self) -> tuple[Any, StringTransport]:
        protocol, transport = self.factory.buildProtocol(None), StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def answers(self, transport: StringTransport) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in transport.value().splitlines()]
        transport.clear()
        return found


class ControlTests(ControlCase):
    def test_one_after_the_other_in_order(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(LIST % 1 + LIST % 2 + LIST[:5])
        self.assertEqual(len(self.asked), 1)
        self.assertEqual(transport.producerState, "paused")
        self.waiting[0].callback(admin.UserList([], False))
        self.assertEqual([answer["id"] for answer in self.answers(transport)], [1])
        self.assertEqual(len(self.asked), 2)
        self.waiting[1].errback(ImError(ErrorCode.UNAVAILABLE, "later"))
        self.assertEqual(self.answers(transport), [{"id": 2, "error": "UNAVAILABLE", "text": "later"}])
        self.assertEqual(transport.producerState, "producing")

    def test_who_is_there(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(b'{"id":1,"command":"Describe"}\n')
        (answer,) = self.answers(transport)
        self.assertEqual((answer["reply"], answer["value"]["pid"]), ("ServerInfo", os.getpid()))

    def test_root_and_the_own_user_only(self) -> None:
        for uid, allowed in ((0, True), (os.geteuid(), True), (os.geteuid() + 1, False), (-1, False)):
            self.uid = uid
            protocol, transport = self.connect()
            self.assertEqual(transport.disconnected, not allowed, uid)
            protocol.dataReceived(LIST % 1)
            self.assertEqual(len(self.asked), int(allowed), uid)
            self.asked.clear()

    def test_the_kernel_names_the_peer(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX)
        with ours, theirs:

            class Transport:
                socket = ours

            self.assertEqual(peer_uid(Transport), os.geteuid())

    def test_bad_lines_are_answered_and_the_next_is_served(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(b'nonsense\n\n\x00\xff\n{"id":7,"command":"Fly"}\n' + LIST % 8)
        answers = self.answers(transport)
        self.assertEqual([(answer["id"], answer["error"]) for answer in answers], [
            (0, "BAD_REQUEST"), (0, "BAD_REQUEST"), (0, "BAD_REQUEST"), (7, "BAD_REQUEST"),
        ])  # fmt: skip
        self.assertEqual(len(self.asked), 1)

    def test_a_line_without_end_is_hung_up_on(self) -> None:
        protocol, transport = self.connect()
        other, other_transport = self.connect()
        protocol.dataReceived(b"x" * (control.MAX_LINE + 1))
        self.assertTrue(transport.disconnected)
        self.assertFalse(other_transport.disconnected)
        other.dataReceived(LIST % 1)
        self.assertEqual(len(self.asked), 1)

    def test_a_failure_is_logged_and_answered_without_its_text(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(LIST % 1)
        self.waiting[0].errback(KeyError("hunter2"))
        (answer,) = self.answers(transport)
        self.assertEqual((answer["id"], answer["error"]), (1, "INTERNAL"))
        self.assertNotIn("hunter2", answer["text"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        protocol.dataReceived(LIST % 2)
        self.assertEqual(len(self.asked), 2)

    def test_who_leaves_before_the_answer_disturbs_nobody(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(LIST % 1)
        protocol.connectionLost()
        self.waiting[0].callback(admin.UserList([], False))
        self.assertEqual(transport.value(), b"")
        self.assertEqual(self.factory.connections, set())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_is_done_for_those_who_do_not_read(self) -> None:
        protocol, transport = self.connect()
        self.assertIs(transport.producer, protocol)
        protocol.dataReceived(LIST % 1 + LIST % 2 + b"nonsense\n")
        protocol.pauseProducing()
        self.waiting[0].callback(admin.UserList([], False))
        self.assertEqual((len(self.asked), transport.producerState), (1, "paused"))
        protocol.resumeProducing()
        self.assertEqual(len(self.asked), 2)
        protocol.pauseProducing()
        protocol.resumeProducing()
        self.assertEqual(transport.producerState, "paused")
        self.waiting[1].callback(admin.UserList([], False))
        self.assertEqual([answer["id"] for answer in self.answers(transport)], [1, 2, 0])
        self.assertEqual(transport.producerState, "producing")

    def test_the_idle_are_hung_up_on_but_not_those_who_wait(self) -> None:
        protocol, transport = self.connect()
        protocol.dataReceived(LIST % 1)
        self.clock.advance(10 * IDLE_SECONDS)
        self.assertFalse(transport.disconnected)
        self.waiting[0].callback(admin.UserList([], False))
        self.clock.advance(IDLE_SECONDS - 1)
        self.assertFalse(transport.disconnected)
        self.clock.advance(2)
        self.assertTrue(transport.disconnected)

    def test_only_so_many(self) -> None:
        made = [self.connect() for _ in range(CONNECTIONS + 1)]
        self.assertEqual([transport.disconnected for _, transport in made], [False] * CONNECTIONS + [True])
        made[0][0].connectionLost()
        self.assertFalse(self.connect()[1].disconnected)

    def test_at_the_end_everybody_is_hung_up_on(self) -> None:
        made = [self.connect() for _ in range(3)]
        self.factory.hang_up()
        self.assertTrue(all(transport.disconnected for _, transport in made))
