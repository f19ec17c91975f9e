"""REST: one's groups."""

from __future__ import annotations

from imserver.http import views
from imserver.http.bodies import CreateGroupBody, InviteBody, JoinBody
from imserver.http.table import Access, Call, Nothing, Route
from imserver.model.groups import (
    CreateGroup,
    DeleteGroup,
    GetGroup,
    InviteMember,
    JoinGroup,
    KickMember,
    LeaveGroup,
    ListGroups,
    ListMembers,
)


async def _list(call: Call) -> views.GroupsData:
    reply = await call.run(ListGroups())
    return views.GroupsData([views.group(one) for one in reply.groups], False)


async def _create(call: Call) -> views.GroupData:
    body: CreateGroupBody = call.body
    reply = await call.run(CreateGroup(body.group_id, body.name, body.open, body.password, body.members))
    return views.GroupData(views.group(reply.group))


async def _get(call: Call) -> views.GroupData:
    return views.GroupData(views.group((await call.run(GetGroup(call.path["group"]))).group))


async def _members(call: Call) -> views.MembersData:
    reply = await call.run(ListMembers(call.path["group"]))
    return views.MembersData(reply.group, views.members(reply.members))


async def _join(call: Call) -> views.GroupData:
    reply = await call.run(JoinGroup(call.path["group"], call.body.password))
    return views.GroupData(views.group(reply.group))


async def _leave(call: Call) -> Nothing:
    await call.run(LeaveGroup(call.path["group"]))
    return Nothing()


async def _invite(call: Call) -> Nothing:
    await call.run(InviteMember(call.path["group"], call.body.user_id))
    return Nothing()


async def _kick(call: Call) -> Nothing:
    await call.run(KickMember(call.path["group"], call.path["user"]))
    return Nothing()


async def _delete(call: Call) -> Nothing:
    await call.run(DeleteGroup(call.path["group"]))
    return Nothing()


_GROUP = "/api/groups/{group}"
ROUTES = (
    Route("GET", "/api/groups", "listGroups", "One's groups", Access.USER, _list, data=views.GroupsData),
    Route(
        "POST", "/api/groups", "createGroup", "Create a group", Access.USER, _create,
        data=views.GroupData, body=CreateGroupBody, errors=(404, 409),
    ),
    Route(
        "GET", _GROUP, "getGroup", "Describe a group", Access.USER, _get, data=views.GroupData, errors=(404,)
    ),
    Route(
        "GET", f"{_GROUP}/members", "listMembers", "A group's members", Access.USER, _members,
        data=views.MembersData, errors=(404,),
    ),
    Route(
        "POST", f"{_GROUP}/join", "joinGroup", "Join: by invitation, by password, or where the group is open",
        Access.USER, _join, data=views.GroupData, body=JoinBody, body_optional=True, errors=(404, 409),
    ),
    Route("POST", f"{_GROUP}/leave", "leaveGroup", "Leave a group", Access.USER, _leave, errors=(404,)),
    Route(
        "POST", f"{_GROUP}/invitations", "inviteMember", "Invite a user", Access.USER, _invite,
        body=InviteBody, errors=(404, 409),
    ),
    Route(
        "DELETE", f"{_GROUP}/members/{{user}}", "kickMember", "Remove a member: the owner may", Access.USER,
        _kick, errors=(404,),
    ),
    Route(
        "DELETE", _GROUP, "deleteGroup", "Delete a group: the owner may", Access.USER, _delete, errors=(404,)
    ),
)  # fmt: skip
