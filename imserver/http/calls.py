"""REST: what calls need beside the signalling."""

from __future__ import annotations

from imserver.http import views
from imserver.http.bodies import IceQuery
from imserver.http.table import Access, Call, Route
from imserver.model.calls import GetIceServers


async def _ice_servers(call: Call) -> views.IceData:
    found = await call.run(GetIceServers(call.query.region))
    return views.IceData(
        [views.IceServerView(list(one.urls), one.username, one.credential) for one in found.servers]
    )


ROUTES = (
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
