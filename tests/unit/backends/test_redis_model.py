"""Random operations, nodes, cut connections, killed servers and retention against the naive model."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imserver.backends.redis.settings import LinkSettings
from tests.contracts.model_suite import ModelSuite, operations
from tests.redis.cellar_world import DAY, RedisCase
from tests.redis.link_case import shared_server
from tests.redis.proxy import Proxy
from tests.redis.server import RedisServer

redis_operations = st.one_of(
    *operations,
    st.tuples(st.just("other-node")),
    st.tuples(st.just("lose-commands")),
    st.tuples(st.just("lose-answers")),
    st.tuples(st.just("kill")),
)


class ModelTest(RedisCase, ModelSuite, SynchronousTestCase):
    """Two nodes take turns over one Redis that keeps everything; their connections may be cut."""

    def make_server(self) -> RedisServer:
        return shared_server("always")

    def open_cellar(self, *users: str, **settings: Any) -> None:
        """See CellarCase: two nodes, one sink."""
        for proxy in getattr(self, "proxies", ()):
            proxy.let_through()
        self.proxies: list[Proxy] = []
        super().open_cellar(*users, **settings)
        self.cellars = [self.redis_cellar]
        self.add_node()
        self.epoch = self.cellar.store.epoch

    def add_node(self) -> None:
        """A second node, whose sink is that of the first one."""
        cellar = self.start()
        cellar.store.attach(self.sink)
        self.cellars.append(cellar)

    def start(self, *, link: LinkSettings | None = None, where: Any = None) -> Any:
        """A node behind a proxy."""
        proxy = Proxy(self.pump, self.server.port)
        self.proxies.append(proxy)
        return super().start(where=proxy.where)

    def run_operations(self, steps: list[tuple[Any, ...]], **engine: Any) -> None:
        super().run_operations(steps, **engine)
        self.assertEqual(self.epoch, self.cellar.store.epoch, "nothing was lost, so the numbers go on")
        self.assertEqual(0, sum(len(cellar.core.own_sends) for cellar in self.cellars))

    def age(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.settle()
        self.wait_for(self.cellars[0].trim(DAY + self.clock.seconds()))

    def restart(self) -> None:
        for cellar in self.cellars:
            self._close(cellar)
        self.marks.clear()
        self.cellars.clear()
        self.add_node()
        self.add_node()
        self.redis_cellar = self.cellar = self.cellars[0]

    def do_other_node(self) -> None:
        """The other node is used from now on."""
        self.do_settle()
        self.cellars.reverse()
        self.redis_cellar = self.cellar = self.cellars[0]

    def do_lose_commands(self) -> None:
        """What waits does not get to Redis."""
        for proxy in self.proxies:
            proxy.mute = True
        self.pump.turn()
        self.lose()
        self.did_not_happen()
        self.check()

    def do_lose_answers(self) -> None:
        """What waits is done, and nobody hears of it."""
        for proxy in self.proxies:
            proxy.hold_answers = True
        self.pump.turn()
        link = self.redis_cellar.redis
        self.pump.until(lambda: sum(one.answers_to(link._protocol) for one in self.proxies) == link.waiting)
        self.lose()
        self.happened()
        self.check()

    def lose(self) -> None:
        """Cuts every connection; the nodes come back by themselves."""
        for proxy in self.proxies:
            proxy.cut()
            proxy.let_through()
        self.pump.turn()
        assert not any(cellar.redis.connected for cellar in self.cellars)
        self.pump.until(self.whole, run_clock=True)
        self.settle()

    def whole(self) -> bool:
        """Whether all nodes are connected."""
        return all(cellar.redis.connected and cellar.subscriber.whole for cellar in self.cellars)

    def do_kill(self) -> None:
        """Redis is killed and comes back with what it had acknowledged."""
        self.do_settle()
        self.server.kill()
        self.pump.until(lambda: not any(cellar.redis.connected for cellar in self.cellars))
        self.server.start()
        self.pump.until(self.whole, run_clock=True)
        self.check()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(redis_operations, max_size=25))
    def test_as_usual(self, steps: list[tuple[Any, ...]]) -> None:
        self.run_operations(steps)
