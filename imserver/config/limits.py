"""What may stand in the sections of the configuration file that bound what is done, subject by subject."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1)]
CountOrOff = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on what peers may ask of the server.

    Attributes:
        sends_per_second / send_burst: messages of one user.
        commands_per_second / command_burst: every other command of one connection.
        content_bytes: content, extra, attachments and meta of one message together.
        outbox_bytes: queued for one session.
        all_outboxes_bytes: queued for all sessions together.
        connections: all listeners together.
        unauthenticated_per_address: connections that have not logged in, per peer address; 0 = no limit.
        sessions_per_user: beyond it the oldest is ended.
        failed_logins_per_account: a minute, per account and address.
        failed_logins_per_address: a minute.
        registrations_per_minute: accounts created per address.
        group_members: members of one group.
    """

    sends_per_second: Seconds = 100.0
    send_burst: Count = 200
    commands_per_second: Seconds = 200.0
    command_burst: Count = 400
    content_bytes: Annotated[int, Meta(ge=1, le=65_536)] = 65_536
    outbox_bytes: Annotated[int, Meta(ge=262_144)] = 1_048_576
    all_outboxes_bytes: Annotated[int, Meta(ge=1_048_576)] = 268_435_456
    connections: Count = 100_000
    unauthenticated_per_address: CountOrOff = 1024
    sessions_per_user: Count = 64
    failed_logins_per_account: Count = 10
    failed_logins_per_address: Count = 100
    registrations_per_minute: Count = 10
    group_members: Count = 10_000


class Retention(Struct, frozen=True, forbid_unknown_fields=True):
    """How long messages are kept.

    Attributes:
        days: age at which messages are dropped; 0 = never.
        dedupe_hours: how long a retried send is recognised.
        revoke_seconds: how long a message may be taken back.
    """

    days: Annotated[float, Meta(ge=0)] = 0.0
    dedupe_hours: Annotated[float, Meta(ge=24)] = 48.0
    revoke_seconds: Annotated[float, Meta(ge=0)] = 120.0


class CallLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Calls.

    Attributes:
        ring_seconds: how long it rings.
        grace_seconds: how long a call waits for a peer-to-peer party whose connection is lost.
        max_seconds: how long a call may last.
        media_bytes_per_second: media relayed in one call.
        media_buffer_bytes: media waiting for one session that reads slowly; beyond it the oldest is dropped.
    """

    ring_seconds: Seconds = 30.0
    grace_seconds: Seconds = 15.0
    max_seconds: Seconds = 3600.0
    media_bytes_per_second: Annotated[int, Meta(ge=65_536)] = 4_194_304
    media_buffer_bytes: Annotated[int, Meta(ge=65_536)] = 1_048_576


class FriendSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What only friends may do. Blocking is always enforced.

    Attributes:
        messages: who may write to somebody, and be seen typing; groups are not concerned.
        calls: who may call somebody; everybody else finds him offline.
        presence: who sees somebody's presence: contacts (friends, and those one shares a
            conversation with), or friends alone.
        friends_per_user: the most friends one may have.
    """

    messages: Literal["everybody", "friends"] = "everybody"
    calls: Literal["everybody", "friends"] = "everybody"
    presence: Literal["contacts", "friends"] = "contacts"
    friends_per_user: Annotated[int, Meta(ge=1, le=100_000)] = 2_000


class FileLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Files.

    Attributes:
        max_bytes: one file.
        user_bytes / user_files: all files of one sender that have not expired, and how many.
        total_bytes: of all senders; 0 = no limit.
        user_transfers: uploads of one user that are not at their end.
        channels / user_channels: files moved at a time, of all and of one user.
        expiry_days: how long a file is kept after its request.
        chunk_bytes: of the largest chunk on a file channel.
        offer_seconds: in which an offer of the dialect chat-app has to be answered.
        threads: that read and write files.
        directory: where they are kept, which all nodes of one Redis share; "" = in the data directory.
        public_host / public_port: told to clients as the file channel's, where they differ from what they
            are connected to and from the listener's port.
        public_protocol: told to clients as the file channel's, where TLS ends before this server; "" = as
            their session.
    """

    max_bytes: Annotated[int, Meta(ge=1, le=2**50)] = 4_294_967_296
    user_bytes: Annotated[int, Meta(ge=1, le=2**60)] = 17_179_869_184
    user_files: Count = 10_000
    total_bytes: Annotated[int, Meta(ge=0, le=2**62)] = 0
    user_transfers: Count = 64
    channels: Count = 256
    user_channels: Count = 16
    expiry_days: Annotated[float, Meta(gt=0)] = 30.0
    chunk_bytes: Annotated[int, Meta(ge=4_096, le=1_048_576)] = 65_536
    offer_seconds: Seconds = 600.0
    threads: Annotated[int, Meta(ge=1, le=64)] = 4
    directory: str = ""
    public_host: str = ""
    public_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    public_protocol: Literal["", "tcp", "tls"] = ""


class RoomLimits(Struct, frozen=True, forbid_unknown_fields=True):
    """Meeting rooms.

    Attributes:
        rooms: in all.
        endpoints / streams: in one room.
        endpoints_per_user: in all rooms; beyond it the oldest is ended.
        broadcast_bytes: of one broadcast.
        broadcasts_per_second: of one endpoint.
        fanout_bytes_per_second: broadcasts of one room, each counted for every receiver.
        grace_seconds: how long an endpoint may come back after its connection was lost.
    """

    rooms: Count = 10_000
    endpoints: Count = 2_000
    streams: Count = 2_000
    endpoints_per_user: Count = 64
    broadcast_bytes: Annotated[int, Meta(ge=1, le=65_536)] = 65_536
    broadcasts_per_second: Seconds = 20.0
    fanout_bytes_per_second: Annotated[int, Meta(ge=65_536)] = 67_108_864
    grace_seconds: Seconds = 15.0
