"""Rotation of refresh tokens: retries, reuse and races."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred

from imserver.model.accounts import LogIn, Principal, RefreshTokens, RenewToken, TokensRefreshed
from imserver.model.errors import ErrorCode, ImError
from tests.unit.services.test_accounts import HERE, AccountCase


class RefreshTests(AccountCase):
    def setUp(self) -> None:
        super().setUp()
        self.first = self.log_in()

    def refresh(self, token: str, request_id: str = "") -> TokensRefreshed:
        return self.run_now(self.accounts.refresh(RefreshTokens(token, request_id)))

    def refresh_refused(self, token: str, request_id: str = "") -> None:
        self.refused(ErrorCode.AUTH_FAILED, self.accounts.refresh(RefreshTokens(token, request_id)))

    def assert_revoked(self) -> None:
        self.assertEqual([kick[:3] for kick in self.kicks], [("alice", self.first.sid, "")])
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn(token=self.first.token))

    def test_a_chain(self) -> None:
        token = self.first.refresh_token
        for _ in range(5):
            self.time.now += 86400
            fresh = self.refresh(token)
            self.assertEqual((fresh.user, fresh.expires_in), ("alice", 3600))
            self.assertEqual(self.by_token(fresh.token).sid, self.first.sid)
            self.assertNotEqual(fresh.refresh_token, token)
            token = fresh.refresh_token
        self.assertEqual(self.kicks, [])

    def test_the_life_of_a_chain_is_extended(self) -> None:
        self.time.now += 29 * 86400
        token = self.refresh(self.first.refresh_token).refresh_token
        self.time.now += 29 * 86400
        self.assertTrue(self.refresh(token).token)
        self.time.now += 30 * 86400
        self.refused(ErrorCode.TOKEN_EXPIRED, self.accounts.refresh(RefreshTokens(token)))
        self.assertEqual(self.kicks, [], "an expired token proves nothing")

    def test_a_retry_gets_the_first_answer_for_a_minute(self) -> None:
        answer = self.refresh(self.first.refresh_token, "q1")
        for wait in (0, 0.5, 29.5, 30):
            self.time.now += wait
            self.assertEqual(self.refresh(self.first.refresh_token, "q1"), answer)
        self.assertEqual(self.kicks, [])
        self.assertTrue(self.refresh(answer.refresh_token, "q2").token, "and the answer is good")

    def test_a_retry_over_a_rotation_of_the_signing_key(self) -> None:
        answer = self.refresh(self.first.refresh_token, "q1")
        self.time.now += 5
        self.ring.rotate(self.time.now)
        self.assertEqual(self.refresh(self.first.refresh_token, "q1"), answer)

    def test_a_retry_after_a_restart(self) -> None:
        answer = self.refresh(self.first.refresh_token, "q1")
        self.accounts = self.make()
        self.assertEqual(self.refresh(self.first.refresh_token, "q1"), answer)

    def test_a_retry_that_comes_too_late_is_reuse(self) -> None:
        self.refresh(self.first.refresh_token, "q1")
        self.time.now += 60.5
        self.refresh_refused(self.first.refresh_token, "q1")
        self.assert_revoked()

    def test_reuse_by_another_request_revokes_the_family(self) -> None:
        for first_id, second_id in (("q1", "q2"), ("q1", ""), ("", "q1"), ("", "")):
            self.setUp()
            answer = self.refresh(self.first.refresh_token, first_id)
            self.refresh_refused(self.first.refresh_token, second_id)
            self.assert_revoked()
            self.refresh_refused(answer.refresh_token)
            self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn(token=answer.token))
            self.assertEqual(len(self.kicks), 1)

    def test_an_older_ancestor_is_reuse(self) -> None:
        second = self.refresh(self.first.refresh_token, "q1")
        self.refresh(second.refresh_token, "q2")
        self.refresh_refused(self.first.refresh_token, "q1")
        self.assert_revoked()

    def test_other_families_are_not_concerned(self) -> None:
        other = self.log_in()
        self.refresh(self.first.refresh_token)
        self.refresh_refused(self.first.refresh_token)
        self.assertTrue(self.refresh(other.refresh_token).token)

    def test_what_is_no_refresh_token(self) -> None:
        for token in ("", "x", self.first.token, "demo_token_alice", self.first.refresh_token + "A"):
            self.refresh_refused(token)
        self.assertEqual(self.kicks, [])

    def test_the_account_must_be_enabled(self) -> None:
        self.run_now(self.directory.change_account("alice", disabled=True))
        self.refused(ErrorCode.FORBIDDEN, self.accounts.refresh(RefreshTokens(self.first.refresh_token)))


class RefreshRaceTests(AccountCase):
    def race(self, seed: int, request_ids: tuple[str, ...]) -> list[TokensRefreshed | None]:
        """Concurrent uses of one refresh token, their steps interleaved by the seed."""
        self.setUp()
        chance = Random(seed)
        token = self.run_now(self.accounts.authenticate(LogIn("alice", password="right"), HERE)).refresh_token
        self.steps.stepping = True
        attempts = [
            self.start(self.accounts.refresh(RefreshTokens(token, request_id))) for request_id in request_ids
        ]
        while self.steps.waiting:
            waiting: Deferred[None] = self.steps.waiting.pop(chance.randrange(len(self.steps.waiting)))
            self.time.now += chance.random()
            waiting.callback(None)
            for _ in range(chance.randrange(4)):
                self.clock.advance(0)
            if not self.steps.waiting:
                self.settle()
        self.steps.stepping = False
        answers: list[TokensRefreshed | None] = []
        for attempt in attempts:
            outcome: list[TokensRefreshed | None] = []

            def refused(failure: object, outcome: list[TokensRefreshed | None] = outcome) -> None:
                failure.trap(ImError)  # type: ignore[attr-defined]
                outcome.append(None)

            attempt.addCallbacks(outcome.append, refused)
            answers += outcome
        self.assertEqual(len(answers), len(request_ids))
        return answers

    def test_a_retry_that_overtakes_gets_the_same_answer(self) -> None:
        for seed in range(60):
            answers = self.race(seed, ("q", "q", "q"))
            self.assertEqual(len(set(map(repr, answers))), 1, f"seed {seed}")
            assert answers[0] is not None
            self.assertTrue(self.by_token(answers[0].token))
            self.assertEqual(self.kicks, [])

    def test_two_holders_of_one_token_never_both_go_on(self) -> None:
        for seed in range(60):
            answers = self.race(seed, ("thief", "owner"))
            self.assertLessEqual(sum(answer is not None for answer in answers), 1, f"seed {seed}")
            self.assertEqual(len(self.kicks), 1, f"seed {seed}")
            for answer in answers:
                if answer is not None:
                    self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn(token=answer.token))


class RenewTests(AccountCase):
    """Access tokens that are exchanged for later ones (document 004, dialect chat-app)."""

    def setUp(self) -> None:
        super().setUp()
        self.first = self.log_in()

    def renew(self, token: str) -> TokensRefreshed:
        return self.run_now(self.accounts.renew(RenewToken(token)))

    def test_as_long_as_the_log_in_lives(self) -> None:
        token = self.first.token
        for _ in range(3):
            self.time.now += 3000
            later = self.renew(token)
            self.assertEqual((later.user, later.refresh_token, later.expires_in), ("alice", "", 3600))
            self.assertEqual(self.by_token(later.token).sid, self.first.sid)
            token = later.token
        # The refresh token is as good as before.
        self.assertTrue(self.run_now(self.accounts.refresh(RefreshTokens(self.first.refresh_token))).token)

    def test_not_for_ever(self) -> None:
        token = self.first.token
        for _ in range(30 * 24 * 2 - 1):
            self.time.now += 1800
            token = self.renew(token).token
        self.time.now += 1800
        self.refused(ErrorCode.TOKEN_EXPIRED, self.accounts.renew(RenewToken(token)))

    def test_what_is_refused(self) -> None:
        for token in ("", "x", self.first.refresh_token, self.first.token + "x"):
            self.refused(ErrorCode.AUTH_FAILED, self.accounts.renew(RenewToken(token)))
        self.time.now += 3601
        self.refused(ErrorCode.TOKEN_EXPIRED, self.accounts.renew(RenewToken(self.first.token)))

    def test_after_the_end_of_the_log_in(self) -> None:
        self.run_now(self.accounts.log_out(Principal("alice", "s", "f", sid=self.first.sid)))
        self.refused(ErrorCode.AUTH_FAILED, self.accounts.renew(RenewToken(self.first.token)))

    def test_demo_tokens_stay_as_they_are(self) -> None:
        self.refused(ErrorCode.AUTH_FAILED, self.make(demo=False).renew(RenewToken("demo_token_alice")))
        accounts = self.make(demo=True)
        later = self.run_now(accounts.renew(RenewToken("demo_token_alice")))
        self.assertEqual((later.user, later.token), ("alice", "demo_token_alice"))
