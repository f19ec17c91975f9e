"""People with clients of document 002 who call each other."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor

from tests.clients.signalling_client import Message, SignallingClient, connect_user
from tests.e2e.server import Server

PATIENCE = 60.0


def sdp(kind: str, words: str = "") -> dict[str, str]:
    """A description."""
    return {"type": kind, "sdp": f"v=0\r\ns={words or '-'}\r\n"}


def candidate(number: int) -> dict[str, Any]:
    """A candidate."""
    return {"candidate": f"candidate:{number} 1 UDP 1 192.0.2.1 {number} typ host", "sdpMLineIndex": 0}


async def phone(
    server: Server, user: str, device: str = "phone", *, binary: bool = False, token: str | None = None
) -> SignallingClient:
    """A session that can be called."""
    client = await connect_user(reactor, server.port("/im"), user, device=device, binary=binary, token=token)
    client.timeout = PATIENCE
    return client


def offer(client: SignallingClient, callee: Any, call: Any = None, words: str = "", **more: Any) -> None:
    """Calls somebody."""
    payload = {"to_user": callee, "call_type": "video", "sdp": sdp("offer", words), **more}
    client.send("call.offer", payload if call is None else {"call_id": call, **payload})


def answer(client: SignallingClient, call: Any, words: str = "", **more: Any) -> None:
    """Takes a call."""
    client.send("call.answer", {"call_id": call, "sdp": sdp("answer", words), **more})


def ice(client: SignallingClient, call: Any, number: int) -> None:
    """Tells a candidate."""
    client.send("call.ice", {"call_id": call, "ice_candidate": candidate(number)})


def end(client: SignallingClient, call: Any, reason: str = "user_hangup") -> None:
    """Ends a call, or rejects it."""
    client.send("call.end", {"call_id": call, "reason": reason})


async def heard(client: SignallingClient, kind: str, call: Any = None) -> Message:
    """The payload of the next message of this type; of this call, if one is named."""
    told = await client.expect(kind, lambda message: call in (None, message["payload"].get("call_id")))
    payload: Message = told["payload"]
    return payload


async def rings(caller: SignallingClient, callee: SignallingClient, name: Any, call: Any) -> Message:
    """Calls; it rings at both ends. Returns the offer as it came."""
    offer(caller, name, call)
    told = await heard(callee, "call.offer", call)
    assert (await heard(caller, "call.status", call))["status"] == "ringing"
    return told


async def runs(caller: SignallingClient, callee: SignallingClient, name: Any, call: Any) -> None:
    """Calls, and is answered."""
    await rings(caller, callee, name, call)
    answer(callee, call)
    assert (await heard(caller, "call.answer", call))["sdp"] == sdp("answer")
    assert (await heard(caller, "call.status", call))["status"] == "answered"


async def ended(client: SignallingClient, call: Any, reason: str) -> Message:
    """The end, and why."""
    told = await heard(client, "call.end", call)
    assert told["reason"] == reason, told
    return told


async def refused(client: SignallingClient, call: Any, reason: str) -> Message:
    """The server's own call.error."""
    told = await heard(client, "call.error", call)
    assert (told["error_code"], told["details"]) == ("SIGNALING_ERROR", {"reason": reason}), told
    return told


async def settle(*clients: SignallingClient) -> None:
    """What was written to them before is there."""
    for client in clients:
        await client.request("ping")


def log(client: SignallingClient, call: Any) -> list[str]:
    """All that was told of a call, in order: types, with the word where there is one."""
    told = []
    for message in client.messages:
        payload = message["payload"]
        if message["type"].startswith("call.") and payload.get("call_id") == call:
            word = (
                payload.get("reason") or payload.get("status") or payload.get("details", {}).get("reason", "")
            )
            told.append(f"{message['type'][5:]} {word}".rstrip())
    return told


async def close(*clients: Any) -> None:
    """Ends sessions."""
    for client in clients:
        await client.close()
