"""Log-in, registration and administration, with log-ins under way while things change."""

from __future__ import annotations

import hashlib
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from imserver.model import admin
from imserver.model.accounts import KickReason, LogIn, Principal, RefreshTokens, Register, Role
from imserver.model.errors import ErrorCode, ImError
from imserver.services.accounts import ADMIN_COMMANDS, Accounts, Authenticated
from imserver.services.keys import KeyRing, KeyRingError, external_key, new_key
from imserver.services.tokens import Tokens
from tests.unit.services.cellar_world import CellarCase, SteppingDirectory
from tests.unit.services.world import START, Chance, HeldThreads, weak_hasher

HERE = "192.0.2.1"
PASSWORD = "right"
WRONG_TEXT = "unknown user or wrong password"


class AccountCase(CellarCase):
    def setUp(self) -> None:
        super().setUp()
        self.issuer = Ed25519PrivateKey.generate()
        public = self.issuer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        chance = Chance()
        self.ring = KeyRing([new_key(chance)], chance, external=[external_key("partner", "EdDSA", public)])
        self.tokens = Tokens(self.ring, self.time, Chance())
        self.chance = Chance()
        self.accounts = self.make()
        self.run_now(self.accounts.create_user("alice", PASSWORD))

    def make(self, threads: Any = None, **settings: Any) -> Accounts:
        return Accounts(
            self.directory,
            self.bus,
            weak_hasher(self.threads if threads is None else threads),
            self.tokens,
            self.time,
            self.chance,
            **settings,
        )

    def log_in(self, user: str = "alice", password: str = PASSWORD, address: str = HERE) -> Authenticated:
        return self.run_now(
            self.accounts.authenticate(LogIn(user, password=password, platform="web"), address)
        )

    def by_token(self, token: str, user: str = "") -> Authenticated:
        return self.run_now(self.accounts.authenticate(LogIn(user, token=token), HERE))

    def log_in_refused(self, code: ErrorCode, command: LogIn, address: str = HERE) -> ImError:
        return self.refused(code, self.accounts.authenticate(command, address))

    def foreign(self, user: Any) -> str:
        claims = {"user_id": user, "exp": int(START) + 600}
        return jwt.encode(claims, self.issuer, "EdDSA", headers={"kid": "partner"})

    @staticmethod
    def principal(authenticated: Authenticated, session: str = "session") -> Principal:
        return Principal(authenticated.account.user, session, "jsonline", sid=authenticated.sid)


class PasswordLogInTests(AccountCase):
    def test_issues_tokens_that_log_in(self) -> None:
        first = self.log_in()
        self.assertEqual((first.account.user, first.platform, first.expires_in), ("alice", "web", 3600))
        self.time.now += 600
        second = self.by_token(first.token)
        self.assertEqual(second.sid, first.sid)
        self.assertEqual((second.token, second.refresh_token), (first.token, ""))
        self.assertEqual((second.platform, second.expires_in), ("web", 3000))
        self.assertTrue(self.run_now(self.accounts.still_valid(second)))

    def test_the_hash_of_the_password_logs_in_too(self) -> None:
        hex_form = hashlib.sha256(PASSWORD.encode()).hexdigest()
        command = LogIn("alice", password=hex_form, hashed=True)
        self.assertEqual(self.run_now(self.accounts.authenticate(command, HERE)).account.user, "alice")
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn("alice", password=hex_form))

    def test_every_log_in_has_a_grant_of_its_own(self) -> None:
        one, two = self.log_in(), self.log_in()
        self.assertNotEqual(one.sid, two.sid)
        self.assertNotEqual(one.refresh_token, two.refresh_token)

    def test_unknown_user_and_wrong_password_look_the_same(self) -> None:
        work = []
        for command in (
            LogIn("alice", password="wrong"),
            LogIn("nobody", password=PASSWORD),
            LogIn("Alice", password=PASSWORD),
        ):
            before = self.threads.calls
            error = self.log_in_refused(ErrorCode.AUTH_FAILED, command)
            self.assertEqual(error.text, WRONG_TEXT)
            work.append(self.threads.calls - before)
        self.assertEqual(work, [1, 1, 1])

    def test_what_cannot_be_right_is_refused_alike(self) -> None:
        for command in (
            LogIn(),
            LogIn("alice"),
            LogIn("", password=PASSWORD),
            LogIn("alice", password="x" * 100_000),
            LogIn("a/b" * 100_000, password=PASSWORD),
            LogIn("alice", password="short", hashed=True),
            LogIn("alice\ud800", password=PASSWORD),
        ):
            error = self.log_in_refused(ErrorCode.AUTH_FAILED, command)
            self.assertEqual(error.text, WRONG_TEXT)

    def test_an_account_without_password_has_none_to_guess(self) -> None:
        self.run_now(self.accounts.create_user("robot"))
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn("robot", password=""))
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn("robot", password="robot"))

    def test_disabled_is_told_only_to_those_with_the_password(self) -> None:
        self.run_now(self.accounts.disable("alice"))
        self.log_in_refused(ErrorCode.FORBIDDEN, LogIn("alice", password=PASSWORD))
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn("alice", password="wrong"))
        self.run_now(self.accounts.enable("alice"))
        self.assertTrue(self.log_in().token)


class FailureLimitTests(AccountCase):
    def fail(self, user: str = "alice", address: str = HERE) -> None:  # type: ignore[override]
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn(user, password="wrong"), address)

    def test_ten_a_minute_for_one_account_from_one_address(self) -> None:
        for _ in range(10):
            self.fail()
        before = self.threads.calls
        self.log_in_refused(ErrorCode.TOO_FAST, LogIn("alice", password="wrong"))
        self.log_in_refused(ErrorCode.TOO_FAST, LogIn("alice", password=PASSWORD))
        self.assertEqual(self.threads.calls, before, "refused before any hashing")
        self.assertTrue(self.log_in(address="192.0.2.2").token, "another address is not concerned")
        self.run_now(self.accounts.create_user("bob", PASSWORD))
        self.assertTrue(self.log_in("bob").token, "another account is not concerned")
        self.time.now += 60
        self.assertTrue(self.log_in().token)

    def test_unknown_accounts_count_too(self) -> None:
        for _ in range(10):
            self.fail("nobody")
        self.log_in_refused(ErrorCode.TOO_FAST, LogIn("nobody", password="wrong"))

    def test_a_hundred_a_minute_from_one_address(self) -> None:
        for number in range(100):
            self.fail(f"user{number}")
        self.log_in_refused(ErrorCode.TOO_FAST, LogIn("alice", password=PASSWORD))
        self.log_in_refused(ErrorCode.TOO_FAST, LogIn(token="guess"))
        self.assertTrue(self.log_in(address="192.0.2.2").token)

    def test_right_log_ins_do_not_count(self) -> None:
        for _ in range(150):
            self.log_in()

    def test_a_good_token_is_not_locked_out_by_its_neighbours(self) -> None:
        token = self.log_in().token
        for number in range(100):
            self.fail(f"user{number}")
        self.assertEqual(self.by_token(token).account.user, "alice")

    def test_guesses_sent_all_at_once_are_not_worth_more(self) -> None:
        threads = HeldThreads()
        self.accounts = self.make(threads)
        guesses = [f"wrong{number}" for number in range(30)] + [PASSWORD]
        outcomes = [
            self.start(self.accounts.authenticate(LogIn("alice", password=guess), HERE)) for guess in guesses
        ]
        threads.run()
        self.settle()
        codes = [self.failureResultOf(outcome, ImError).value.code for outcome in outcomes]
        self.assertEqual(codes, [ErrorCode.AUTH_FAILED] * 10 + [ErrorCode.TOO_FAST] * 21)

    def test_a_full_pool_is_not_the_guests_fault(self) -> None:
        self.accounts = self.make(HeldThreads(limit=0))
        for _ in range(20):
            self.log_in_refused(ErrorCode.UNAVAILABLE, LogIn("alice", password=PASSWORD))


class TokenLogInTests(AccountCase):
    def test_the_identity_is_the_tokens(self) -> None:
        token = self.log_in().token
        self.assertEqual(self.by_token(token, "alice").account.user, "alice")
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn("bob", token=token))

    def test_bad_tokens(self) -> None:
        first = self.log_in()
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn(token=first.refresh_token))
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn(token=first.token + "x"))
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn(token="demo_token_alice"))
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn("alice", token="x", password=PASSWORD))
        self.time.now += 3600
        self.log_in_refused(ErrorCode.TOKEN_EXPIRED, LogIn(token=first.token))

    def test_a_token_whose_grant_is_unknown_or_another_users(self) -> None:
        first = self.log_in()
        for user, sid in (("alice", "nowhere"), ("bob", first.sid)):
            issued = self.tokens.issue(user, "web", sid, "r", START)
            self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn(token=issued.access))

    def test_foreign_tokens(self) -> None:
        accepted = self.by_token(self.foreign("alice"))
        self.assertEqual((accepted.sid, accepted.expires_in), ("", 600))
        self.assertTrue(self.run_now(self.accounts.still_valid(accepted)))
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn(token=self.foreign("nobody")))
        self.run_now(self.accounts.create_user("10001"))
        self.assertEqual(self.by_token(self.foreign(10001)).account.user, "10001")
        self.run_now(self.accounts.disable("alice"))
        self.log_in_refused(ErrorCode.FORBIDDEN, LogIn(token=self.foreign("alice")))

    def test_demo_tokens(self) -> None:
        self.accounts = self.make(demo=True)
        accepted = self.by_token("demo_token_newcomer", "newcomer")
        self.assertEqual((accepted.account.user, accepted.sid), ("newcomer", ""))
        self.assertEqual(self.by_token("demo_token_newcomer").account, accepted.account)
        self.assertEqual(self.by_token("demo_token_alice").account.user, "alice")
        for command, why in (
            (LogIn("bob", token="demo_token_alice"), "belongs to another user"),
            (LogIn(token="demo_token_"), "is empty"),
            (LogIn(token="demo_token_a/b"), 'contains "/"'),
            (LogIn(token="demo_token_group_x"), 'starts with "group_"'),
        ):
            self.assertIn(why, self.log_in_refused(ErrorCode.AUTH_FAILED, command).text)
        self.run_now(self.accounts.disable("alice"))
        self.log_in_refused(ErrorCode.FORBIDDEN, LogIn(token="demo_token_alice"))

    def test_two_first_demo_log_ins_at_once(self) -> None:
        self.accounts = self.make(demo=True)
        self.steps.stepping = True
        both = [self.start(self.accounts.authenticate(LogIn(token="demo_token_new"), HERE)) for _ in range(2)]
        while self.steps.waiting:
            self.steps.waiting.pop(0).callback(None)
            self.settle()
        self.assertEqual([self.successResultOf(one).account.user for one in both], ["new", "new"])

    def test_authorizes_only_tokens_of_this_log_in(self) -> None:
        mine, other = self.log_in(), self.log_in()
        self.run_now(self.accounts.create_user("bob", PASSWORD))
        bobs = self.log_in("bob")
        me = self.principal(mine)
        self.assertTrue(self.accounts.authorizes(me, mine.token))
        self.assertTrue(self.accounts.authorizes(me, self.foreign("alice")))
        for token in (
            bobs.token,
            other.token,
            mine.refresh_token,
            self.foreign("bob"),
            "",
            "x",
            "demo_token_alice",
        ):
            self.assertFalse(self.accounts.authorizes(me, token))
        demo = self.make(demo=True)
        self.assertTrue(demo.authorizes(me, "demo_token_alice"))
        self.assertFalse(demo.authorizes(me, "demo_token_bob"))
        self.time.now += 3600
        self.assertFalse(self.accounts.authorizes(me, mine.token))


class UnderWayTests(AccountCase):
    """Whatever happens between the check of a log-in and its entry into the registry."""

    def test_changes_between_check_and_entry(self) -> None:
        for name, change, stands in (
            ("nothing", lambda: self.accounts.list_users(), True),
            ("another user's", lambda: self.accounts.kick("bob"), True),
            ("disable", lambda: self.accounts.disable("alice"), False),
            ("kick", lambda: self.accounts.kick("alice"), False),
            ("password", lambda: self.accounts.change_password("alice", PASSWORD), False),
            ("role", lambda: self.accounts.set_role("alice", Role.ADMIN), False),
        ):
            self.setUp()
            self.run_now(self.accounts.create_user("bob", PASSWORD))
            fresh, known = self.log_in(), self.by_token(self.log_in().token)
            foreign = self.by_token(self.foreign("alice"))
            self.run_now(change())
            for authenticated in (fresh, known, foreign):
                self.assertEqual(self.run_now(self.accounts.still_valid(authenticated)), stands, name)

    def test_where_nothing_was_changed_nothing_is_looked_up_again(self) -> None:
        fresh = self.log_in()
        known, foreign = self.by_token(fresh.token), self.by_token(self.foreign("alice"))
        looked: list[str] = []
        account = self.directory.account

        def look(user: str) -> Any:
            looked.append(user)
            return account(user)

        self.patch(self.directory, "account", look)
        for authenticated in (fresh, known, foreign):
            self.assertTrue(self.run_now(self.accounts.still_valid(authenticated)))
        self.assertEqual(looked, [])
        # Where the directory would not know, it is asked.
        for authenticated in (fresh, known, foreign):
            unsure = msgspec.structs.replace(authenticated, changes=None)
            self.assertTrue(self.run_now(self.accounts.still_valid(unsure)))
        self.assertEqual(looked, ["alice"] * 3)

    def test_where_changes_are_not_known_they_are_looked_for(self) -> None:
        self.patch(SteppingDirectory, "account_changes", None)
        authenticated = self.by_token(self.foreign("alice"))
        self.assertTrue(self.run_now(self.accounts.still_valid(authenticated)))
        self.run_now(self.accounts.disable("alice"))
        self.assertFalse(self.run_now(self.accounts.still_valid(authenticated)))

    def test_disabled_and_enabled_again_is_still_a_change(self) -> None:
        authenticated = self.by_token(self.foreign("alice"))
        self.run_now(self.accounts.disable("alice"))
        self.run_now(self.accounts.enable("alice"))
        self.assertFalse(self.run_now(self.accounts.still_valid(authenticated)))

    def test_a_log_out_elsewhere(self) -> None:
        first = self.log_in()
        second = self.by_token(first.token)
        self.run_now(self.accounts.log_out(self.principal(first)))
        self.assertFalse(self.run_now(self.accounts.still_valid(second)))

    def test_changes_while_the_password_is_being_hashed(self) -> None:
        for change in ("disable", "kick", "change_password"):
            self.setUp()
            threads = HeldThreads()
            slow = self.make(threads)
            log_in = self.start(slow.authenticate(LogIn("alice", password=PASSWORD), HERE))
            self.assertEqual(len(threads), 1)
            arguments = ("alice", "new") if change == "change_password" else ("alice",)
            self.run_now(getattr(self.accounts, change)(*arguments))
            threads.run()
            self.settle()
            authenticated = self.successResultOf(log_in)
            self.assertFalse(self.run_now(slow.still_valid(authenticated)), change)
            # The grant was opened after all others were revoked: it must not outlive the refusal.
            self.refused(ErrorCode.AUTH_FAILED, slow.refresh(RefreshTokens(authenticated.refresh_token)))
            self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn(token=authenticated.token))


class RegistrationTests(AccountCase):
    def register(self, user: str, password: str = PASSWORD, **more: Any) -> Any:
        return self.accounts.register(Register(user, password, **more), HERE)

    def test_registers_and_logs_in(self) -> None:
        self.assertEqual(self.run_now(self.register("bob")).user, "bob")
        self.assertEqual(self.log_in("bob").account.created_at, START)
        hex_form = hashlib.sha256(b"carols").hexdigest()
        self.run_now(self.register("carol", hex_form, hashed=True))
        self.assertTrue(self.log_in("carol", "carols").token)

    def test_what_is_refused(self) -> None:
        self.refused(ErrorCode.USER_EXISTS, self.register("alice"))
        self.assertTrue(self.log_in().token, "the password stays")
        for user, password in (("group_x", "x"), ("", "x"), ("a/b", "x"), ("bob", ""), ("bob", "x" * 1025)):
            self.refused(ErrorCode.BAD_REQUEST, self.register(user, password))

    def test_closed(self) -> None:
        self.accounts = self.make(self_registration=False)
        self.refused(ErrorCode.FORBIDDEN, self.register("bob"))
        self.assertIsNone(self.run_now(self.directory.account("bob")))

    def test_rate(self) -> None:
        for number in range(10):
            self.run_now(self.register(f"user{number}"))
        self.refused(ErrorCode.TOO_FAST, self.register("late"))
        self.run_now(self.accounts.register(Register("elsewhere", "x"), "192.0.2.2"))
        self.time.now += 6
        self.run_now(self.register("late"))

    def test_of_two_at_once_one_wins(self) -> None:
        threads = HeldThreads()
        self.accounts = self.make(threads)
        one, two = self.start(self.register("bob", "one")), self.start(self.register("bob", "two"))
        threads.run()
        self.settle()
        self.successResultOf(one)
        self.refused(ErrorCode.USER_EXISTS, two)
        self.accounts = self.make()
        self.assertTrue(self.log_in("bob", "one").token)


class AdministrationTests(AccountCase):
    def test_disable_kick_and_password_change_end_everything(self) -> None:
        for change in ("disable", "kick", "change_password"):
            self.setUp()
            first = self.log_in()
            arguments = ("alice", "new") if change == "change_password" else ("alice",)
            self.run_now(getattr(self.accounts, change)(*arguments))
            [(user, sid, session, event)] = self.kicks
            self.assertEqual((user, sid, session, event.reason), ("alice", "", "", KickReason.ACCOUNT))
            self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn(token=first.token))
            self.refused(ErrorCode.AUTH_FAILED, self.accounts.refresh(RefreshTokens(first.refresh_token)))

    def test_the_new_password_counts(self) -> None:
        self.run_now(self.accounts.change_password("alice", "new"))
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn("alice", password=PASSWORD))
        self.assertTrue(self.log_in(password="new").token)

    def test_a_role_change_ends_sessions_but_not_tokens(self) -> None:
        first = self.log_in()
        self.run_now(self.accounts.set_role("alice", Role.ADMIN))
        self.assertEqual([kick[0] for kick in self.kicks], ["alice"])
        self.assertEqual(self.by_token(first.token).account.role, Role.ADMIN)

    def test_unknown_users(self) -> None:
        for user in ("nobody", "", "a/b", "\ud800"):
            for work in (
                self.accounts.disable(user),
                self.accounts.enable(user),
                self.accounts.kick(user),
                self.accounts.change_password(user, "x"),
                self.accounts.set_role(user, Role.ADMIN),
            ):
                self.refused(ErrorCode.USER_NOT_FOUND, work)
        self.assertEqual(self.kicks, [])

    def test_log_out_revokes_this_log_in_only(self) -> None:
        one, two = self.log_in(), self.log_in()
        self.run_now(self.accounts.log_out(self.principal(one)))
        self.assertEqual([kick[:3] for kick in self.kicks], [("alice", one.sid, "")])
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn(token=one.token))
        self.refused(ErrorCode.AUTH_FAILED, self.accounts.refresh(RefreshTokens(one.refresh_token)))
        self.assertEqual(self.by_token(two.token).sid, two.sid)

    def test_logging_out_without_a_grant_touches_no_other_session(self) -> None:
        one = self.log_in()
        self.run_now(self.accounts.log_out(self.principal(self.by_token(self.foreign("alice")))))
        self.assertEqual(self.kicks, [])
        self.assertEqual(self.by_token(one.token).sid, one.sid)

    def test_commands(self) -> None:
        run = self.accounts.perform
        reply = self.run_now(run(admin.CreateUser("bob", PASSWORD, role=Role.ADMIN)))
        self.assertEqual(reply.user, admin.UserInfo("bob", Role.ADMIN, False, START, True))
        self.assertTrue(self.run_now(run(admin.DisableUser("bob"))).user.disabled)
        self.assertFalse(self.run_now(run(admin.EnableUser("bob"))).user.disabled)
        self.run_now(run(admin.ChangePassword("bob", "new")))
        self.assertTrue(self.log_in("bob", "new").token)
        self.assertEqual(self.run_now(run(admin.SetRole("bob", Role.USER))).user.role, Role.USER)
        self.run_now(run(admin.KickUser("bob", "out")))
        self.assertEqual(self.kicks[-1][3].text, "out")
        self.refused(ErrorCode.UNKNOWN_COMMAND, run(LogIn()))

    def test_listing_goes_page_by_page(self) -> None:
        for user in ("bob", "Carol", "éva"):
            self.run_now(self.accounts.create_user(user))
        page = self.run_now(self.accounts.perform(admin.ListUsers(limit=3)))
        self.assertEqual([info.user for info in page.users], ["Carol", "alice", "bob"])
        self.assertEqual([info.has_password for info in page.users], [False, True, False])
        self.assertTrue(page.has_more)
        page = self.run_now(self.accounts.list_users(after="bob", limit=3))
        self.assertEqual(([info.user for info in page.users], page.has_more), (["éva"], False))
        self.refused(ErrorCode.BAD_REQUEST, self.accounts.list_users(after="\ud800"))

    def test_only_administrators_administer(self) -> None:
        me = self.principal(self.log_in())
        examples: dict[type, Any] = {
            admin.ChangePassword: admin.ChangePassword("alice", "x"),
            admin.CreateUser: admin.CreateUser("eve"),
            admin.ListUsers: admin.ListUsers(),
            admin.RotateTokenKeys: admin.RotateTokenKeys(),
            admin.SetRole: admin.SetRole("alice", Role.ADMIN),
        }
        for kind in ADMIN_COMMANDS:
            command = examples.get(kind) or kind("alice")
            self.refused(ErrorCode.FORBIDDEN, self.accounts.administer(me, command))
        self.run_now(self.accounts.set_role("alice", Role.ADMIN))
        for command in (admin.ListUsers(), admin.CreateUser("eve")):
            self.run_now(self.accounts.administer(me, command))
        self.run_now(self.accounts.set_role("alice", Role.USER))
        claimed = Principal("alice", "s", "jsonline", role=Role.ADMIN)
        self.refused(ErrorCode.FORBIDDEN, self.accounts.administer(claimed, admin.ListUsers()))

    def test_rotating_the_keys(self) -> None:
        first = self.log_in()
        self.time.now += 1
        kid = self.run_now(self.accounts.perform(admin.RotateTokenKeys())).kid
        self.assertEqual(kid, self.ring.current.kid)
        self.assertEqual(self.by_token(first.token).sid, first.sid)
        self.run_now(self.accounts.perform(admin.RotateTokenKeys(forget_old=True)))
        self.log_in_refused(ErrorCode.AUTH_FAILED, LogIn(token=first.token))
        self.assertEqual(self.by_token(self.foreign("alice")).account.user, "alice")

    def test_a_rotation_that_fails(self) -> None:
        def fail(keys: Any) -> None:
            raise KeyRingError("disk full")

        self.tokens.key_ring = KeyRing([self.ring.current], Chance(), save=fail)
        self.refused(ErrorCode.UNAVAILABLE, self.accounts.perform(admin.RotateTokenKeys()))


class DemoTests(AccountCase):
    def test_demo_users_once_and_again(self) -> None:
        for _ in range(2):
            self.run_now(self.accounts.create_demo_users())
        for user in ("bob", "carol", "dave"):
            self.assertTrue(self.log_in(user, user).token)
        self.assertTrue(self.log_in("alice", PASSWORD).token, "an account that exists is left alone")
        record = self.run_now(self.directory.group("demo"))
        assert record is not None
        self.assertEqual([m.user for m in record.group.members], ["alice", "bob", "carol", "dave"])

    def test_a_deleted_demo_group_stays_deleted(self) -> None:
        self.run_now(self.accounts.create_demo_users())
        self.run_now(self.directory.delete_group("demo"))
        self.run_now(self.accounts.create_demo_users())
        self.assertIsNone(self.run_now(self.directory.group("demo")))
