"""REST: one's calls, and what calls need beside the signalling."""

from __future__ import annotations

from imserver.http import call_views as views
from imserver.http.bodies import IceQuery, PageQuery
from imserver.http.table import Access, Call, Route
from imserver.model.call_records import CallPage, ListCalls
from imserver.model.ice import GetIceServers


async def _list(call: Call) -> views.CallsData:
    page: CallPage = await call.run(ListCalls(call.query.after, call.query.limit))
    return views.CallsData([views.call(one) for one in page.calls], page.next_cursor, bool(page.next_cursor))


async def _ice_servers(call: Call) -> views.IceData:
    found = await call.run(GetIceServers(call.query.region))
    return views.IceData(
        [views.IceServerView(list(one.urls), one.username, one.credential) for one in found.servers]
    )


ROUTES = (
    Route(
        "GET",
        "/api/calls",
        "listCalls",
        "One's calls, the newest first",
        Access.USER,
        _list,
        views.CallsData,
        query=PageQuery,
    ),
    Route(
        "GET",
        "/api/webrtc/config",
        "getIceServers",
        "STUN and TURN servers for WebRTC, with credentials of the caller's own",
        Access.USER,
        _ice_servers,
        views.IceData,
        query=IceQuery,
    ),
)
