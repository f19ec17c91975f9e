"""Log-in by name alone, and by registering (document 000)."""

from __future__ import annotations

from imserver.model.accounts import LogIn, Role
from imserver.model.errors import ErrorCode
from tests.unit.services.test_accounts import HERE, AccountCase


class ByName(AccountCase):
    """`LogIn.unproven`: the user's word is enough, where a codec lets it."""

    def claim(self, user: str) -> LogIn:
        return LogIn(user=user, unproven=True)

    def test_an_unknown_account_is_created(self) -> None:
        known = self.run_now(self.accounts.authenticate(self.claim("张三"), HERE))
        self.assertEqual((known.account.user, known.token, known.sid), ("张三", "", ""))
        account = self.run_now(self.directory.account("张三"))
        assert account is not None
        self.assertEqual(account.password_hash, "")
        self.assertTrue(self.run_now(self.accounts.still_valid(known)))
        # And the second time it is there.
        again = self.run_now(self.accounts.authenticate(self.claim("张三"), HERE))
        self.assertEqual(again.account, account)

    def test_an_account_with_a_password_is_somebodys(self) -> None:
        self.log_in_refused(ErrorCode.AUTH_FAILED, self.claim("alice"))

    def test_an_administrator_is_never_taken_at_his_word(self) -> None:
        self.run_now(self.accounts.create_user("root", role=Role.ADMIN))
        self.log_in_refused(ErrorCode.AUTH_FAILED, self.claim("root"))

    def test_on_a_demo_server_anybody_is_anybody(self) -> None:
        demo = self.make(demo=True)
        self.assertEqual(self.run_now(demo.authenticate(self.claim("alice"), HERE)).account.user, "alice")

    def test_a_disabled_account(self) -> None:
        self.run_now(self.accounts.create_user("bob"))
        self.run_now(self.accounts.disable("bob"))
        self.log_in_refused(ErrorCode.FORBIDDEN, self.claim("bob"))

    def test_no_new_accounts_where_registration_is_closed(self) -> None:
        closed = self.make(self_registration=False)
        self.refused(ErrorCode.FORBIDDEN, closed.authenticate(self.claim("new"), HERE))
        self.run_now(self.accounts.create_user("bob"))
        self.assertEqual(self.run_now(closed.authenticate(self.claim("bob"), HERE)).account.user, "bob")

    def test_bad_ids(self) -> None:
        for user in ("", "a/b", "group_a"):
            self.log_in_refused(ErrorCode.AUTH_FAILED, self.claim(user))

    def test_refusals_are_counted(self) -> None:
        for _ in range(10):
            self.log_in_refused(ErrorCode.AUTH_FAILED, self.claim("alice"))
        self.log_in_refused(ErrorCode.TOO_FAST, self.claim("alice"))

    def test_a_password_set_meanwhile_overtakes_it(self) -> None:
        known = self.run_now(self.accounts.authenticate(self.claim("bob"), HERE))
        self.run_now(self.accounts.change_password("bob", "secret"))
        self.assertFalse(self.run_now(self.accounts.still_valid(known)))


class ByRegistering(AccountCase):
    """`LogIn.register`: create the account, then log in to it."""

    def test_it_logs_in(self) -> None:
        command = LogIn(user="bob", password="pw", register=True)
        known = self.run_now(self.accounts.authenticate(command, HERE))
        self.assertEqual(known.account.user, "bob")
        self.assertEqual(self.by_token(known.token).account.user, "bob")
        self.assertEqual(self.log_in("bob", "pw").account.user, "bob")

    def test_refusals(self) -> None:
        self.log_in_refused(ErrorCode.USER_EXISTS, LogIn(user="alice", password="right", register=True))
        self.log_in_refused(ErrorCode.BAD_REQUEST, LogIn(user="bob", register=True))
        self.log_in_refused(ErrorCode.BAD_REQUEST, LogIn(user="a/b", password="pw", register=True))
        closed = self.make(self_registration=False)
        command = LogIn(user="bob", password="pw", register=True)
        self.refused(ErrorCode.FORBIDDEN, closed.authenticate(command, HERE))
