"""REST for administrators. The role is read anew by every request."""

from __future__ import annotations

from typing import Any

from imserver.http import views
from imserver.http.bodies import (
    CreateUserBody,
    KickBody,
    PageQuery,
    PasswordBody,
    RoleBody,
    SessionsQuery,
)
from imserver.http.table import Access, Call, Nothing, Route
from imserver.model.accounts import Role
from imserver.model.admin import (
    ChangePassword,
    CreateUser,
    DisableUser,
    EnableUser,
    EndSession,
    KickUser,
    ListSessions,
    ListUsers,
    SetRole,
)
from imserver.model.group_admin import AddMember, DescribeGroup, ListAllGroups, RemoveGroup, RemoveMember


async def _users(call: Call) -> views.UsersData:
    reply = await call.run(ListUsers(call.query.after, call.query.limit))
    return views.UsersData([views.user(one) for one in reply.users], reply.has_more)


async def _user(call: Call, command: Any) -> views.UserData:
    return views.UserData(views.user((await call.run(command)).user))


async def _create_user(call: Call) -> views.UserData:
    body: CreateUserBody = call.body
    return await _user(call, CreateUser(body.username, body.password, role=Role(body.role)))


async def _disable(call: Call) -> views.UserData:
    return await _user(call, DisableUser(call.path["user"]))


async def _enable(call: Call) -> views.UserData:
    return await _user(call, EnableUser(call.path["user"]))


async def _kick(call: Call) -> views.UserData:
    return await _user(call, KickUser(call.path["user"], call.body.reason))


async def _password(call: Call) -> views.UserData:
    return await _user(call, ChangePassword(call.path["user"], call.body.password))


async def _role(call: Call) -> views.UserData:
    return await _user(call, SetRole(call.path["user"], Role(call.body.role)))


async def _sessions(call: Call) -> views.SessionsData:
    query: SessionsQuery = call.query
    reply = await call.run(ListSessions(query.user, query.after, query.limit))
    return views.SessionsData([views.session(one) for one in reply.sessions], reply.has_more)


async def _end_session(call: Call) -> Nothing:
    await call.run(EndSession(call.path["session"]))
    return Nothing()


async def _groups(call: Call) -> views.GroupsData:
    reply = await call.run(ListAllGroups(call.query.after, call.query.limit))
    return views.GroupsData([views.group(one) for one in reply.groups], reply.has_more)


async def _group(call: Call) -> views.GroupData:
    return views.GroupData(views.group((await call.run(DescribeGroup(call.path["group"]))).group))


async def _delete_group(call: Call) -> Nothing:
    await call.run(RemoveGroup(call.path["group"]))
    return Nothing()


async def _add_member(call: Call) -> Nothing:
    await call.run(AddMember(call.path["group"], call.path["user"]))
    return Nothing()


async def _remove_member(call: Call) -> Nothing:
    await call.run(RemoveMember(call.path["group"], call.path["user"]))
    return Nothing()


async def _stats(call: Call) -> views.StatsData:
    stats: views.StatsData = call.context.stats()
    return stats


_USER = "/api/admin/users/{user}"
_GROUP = "/api/admin/groups/{group}"
_MEMBER = _GROUP + "/members/{user}"
ROUTES = (
    Route(
        "GET", "/api/admin/users", "listUsers", "All accounts", Access.ADMIN, _users,
        data=views.UsersData, query=PageQuery,
    ),
    Route(
        "POST", "/api/admin/users", "createUser", "Create an account", Access.ADMIN, _create_user,
        data=views.UserData, body=CreateUserBody, errors=(409,),
    ),
    Route(
        "POST", _USER + "/disable", "disableUser", "Refuse further log-ins and end all sessions",
        Access.ADMIN, _disable, data=views.UserData, errors=(404,),
    ),
    Route(
        "POST", _USER + "/enable", "enableUser", "Allow log-ins again", Access.ADMIN, _enable,
        data=views.UserData, errors=(404,),
    ),
    Route(
        "POST", _USER + "/kick", "kickUser", "Revoke all tokens and end all sessions", Access.ADMIN, _kick,
        data=views.UserData, body=KickBody, body_optional=True, errors=(404,),
    ),
    Route(
        "PUT", _USER + "/password", "changePassword", "Set another password and end all sessions",
        Access.ADMIN, _password, data=views.UserData, body=PasswordBody, errors=(404,),
    ),
    Route(
        "PUT", _USER + "/role", "setRole", "Set the role and end all sessions", Access.ADMIN, _role,
        data=views.UserData, body=RoleBody, errors=(404,),
    ),
    Route(
        "GET", "/api/admin/sessions", "listSessions", "Live sessions", Access.ADMIN, _sessions,
        data=views.SessionsData, query=SessionsQuery,
    ),
    Route(
        "DELETE", "/api/admin/sessions/{session}", "endSession", "End one session; its tokens stay valid",
        Access.ADMIN, _end_session, errors=(404,),
    ),
    Route(
        "GET", "/api/admin/groups", "listAllGroups", "All groups", Access.ADMIN, _groups,
        data=views.GroupsData, query=PageQuery,
    ),
    Route(
        "GET", _GROUP, "describeGroup", "Any group, with its members", Access.ADMIN, _group,
        data=views.GroupData, errors=(404,),
    ),
    Route(
        "DELETE", _GROUP, "removeGroup", "Delete any group", Access.ADMIN, _delete_group, errors=(404,)
    ),
    Route(
        "PUT", _MEMBER, "addMember", "Make a user a member", Access.ADMIN, _add_member, errors=(404, 409)
    ),
    Route(
        "DELETE", _MEMBER, "removeMember", "End a membership", Access.ADMIN, _remove_member, errors=(404,)
    ),
    Route(
        "GET", "/api/admin/stats", "stats", "What the server counts", Access.ADMIN, _stats,
        data=views.StatsData,
    ),
)  # fmt: skip
