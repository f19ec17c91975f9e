"""REST: log-in, registration, tokens, and one's own account."""

from __future__ import annotations

from imserver.http import views
from imserver.http.answers import Refused
from imserver.http.bodies import LoginBody, RefreshBody, RegisterBody
from imserver.http.table import Access, Call, Nothing, Route
from imserver.model.accounts import LogIn, LogOut, RefreshTokens, Register
from imserver.model.errors import ErrorCode, ImError
from imserver.model.ids import id_fault


def _user(body: LoginBody | RegisterBody) -> str:
    if (body.username is None) == (body.phone is None):
        raise Refused(400, "body: either username or phone is needed")
    return body.username or body.phone or ""


async def _tokens(call: Call, user: str, password: str, platform: str) -> views.LoginData:
    accounts = call.context.accounts
    try:
        known = await accounts.authenticate(
            LogIn(user=user, password=password, platform=platform), call.address
        )
        if not await accounts.still_valid(known):
            raise ImError(ErrorCode.AUTH_FAILED, "the log-in was overtaken")
    except ImError as error:
        call.context.log_in_ended(error)
        raise
    call.context.log_in_ended(None)
    return _login_data(user, known.token, known.refresh_token, known.expires_in)


def _login_data(user: str, token: str, refresh_token: str, expires_in: int) -> views.LoginData:
    return views.LoginData(token, token, refresh_token, expires_in, user, views.OwnerView(user, user))


async def _login(call: Call) -> views.LoginData:
    body: LoginBody = call.body
    return await _tokens(call, _user(body), body.password, body.platform)


async def _register(call: Call) -> views.LoginData:
    body: RegisterBody = call.body
    user = _user(body)
    fault = id_fault(user)
    if fault is not None:
        raise Refused(400, f"body: the user name {fault}")
    await call.context.accounts.register(Register(user, body.password, platform=body.platform), call.address)
    return await _tokens(call, user, body.password, body.platform)


async def _refresh(call: Call) -> views.LoginData:
    command = RefreshTokens(call.body.refresh_token, call.request_id)
    done = await call.context.accounts.refresh(command)
    return _login_data(done.user, done.token, done.refresh_token, done.expires_in)


async def _logout(call: Call) -> Nothing:
    await call.run(LogOut())
    return Nothing()


async def _me(call: Call) -> views.UserData:
    assert call.account is not None
    return views.UserData(views.own_user(call.account))


ROUTES = (
    Route(
        "POST", "/api/auth/login", "login", "Log in by password", Access.ANYBODY, _login,
        data=views.LoginData, body=LoginBody, errors=(401, 403),
    ),
    Route(
        "POST", "/api/auth/register", "register", "Create an account and log in", Access.ANYBODY, _register,
        data=views.LoginData, body=RegisterBody, errors=(401, 403, 409),
    ),
    Route(
        "POST", "/api/auth/refresh", "refresh",
        "Exchange a refresh token; a retry with the same X-Request-Id gets the first answer for 60 s",
        Access.ANYBODY, _refresh, data=views.LoginData, body=RefreshBody, errors=(401, 403),
    ),
    Route(
        "POST", "/api/auth/logout", "logout", "Revoke the log-in of this token and end its sessions",
        Access.USER, _logout,
    ),
    Route("GET", "/api/users/me", "me", "One's own account", Access.USER, _me, data=views.UserData),
)  # fmt: skip
