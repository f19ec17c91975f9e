"""What may stand in the configuration file, with types, bounds and defaults.

A key that is not here is refused, so a misspelt one never passes silently.
Settings of a feature appear together with the feature.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from imserver.config.limits import (
    CallLimits,
    Count,
    FileLimits,
    FriendSettings,
    Limits,
    Retention,
    RoomLimits,
)
from imserver.model.protection import EncryptionMode, SignatureMode

Text = Annotated[str, Meta(min_length=1)]
Path = Annotated[str, Meta(pattern=r"^/\S*$")]
PythonObject = Annotated[str, Meta(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]

STREAM_FORMATS = ("qdatastream", "jsonline", "files", "http")
"""What listeners may speak without further ado."""


class Certificate(Struct, frozen=True, forbid_unknown_fields=True):
    """Two PEM files.

    Attributes:
        certificate: the server's own certificate, then its intermediates.
        key: its private key, without a password.
    """

    certificate: Text
    key: Text


class Tls(Certificate, frozen=True, forbid_unknown_fields=True):
    """TLS 1.2 or later on a listener. The files are read again on SIGHUP.

    Attributes:
        certificate / key: what clients are shown that name no host, or none of `sni`.
        client_ca: PEM file of authorities; every client must show a certificate of one of them.
        sni: more certificates; each is shown to the clients that ask for one of its DNS names.
    """

    client_ca: Text | None = None
    sni: tuple[Certificate, ...] = ()


class Proxies(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may say on whose behalf a connection is.

    Attributes:
        trusted: addresses and networks of proxies, e.g. "10.0.0.0/24". Nobody else is let in.
    """

    trusted: Annotated[tuple[Text, ...], Meta(min_length=1)]


class Listener(Struct, frozen=True, forbid_unknown_fields=True):
    """One listening address and what is spoken there.

    Attributes:
        format: "qdatastream" (document 000), "jsonline" (document 004), "files" (its file channel),
            "http", or a key of `formats`.
        endpoint: any Twisted server endpoint string.
        tls: certificates, where the connection is encrypted.
        proxy_protocol: every connection begins with a PROXY protocol header (v1 or v2, before
            TLS), whose address counts as the client's.
        forwarded_for: http: every request has the header X-Forwarded-For, whose last address
            that is not itself trusted counts as the client's.
        dialect: jsonline: which of its dialects is spoken; absent = "draft", document 004 itself.
        require_authorization: jsonline: every request needs `headers.Authorization`.
        signature: jsonline: signatures of messages: "off", "verify" (where there are some), "required".
        encryption: jsonline: encrypted payloads: "off", "allowed", "required".
        paths: http: the format spoken at each WebSocket path.
        allowed_origins: http: origins besides the server's own that browsers may come from.
        rest: http: whether REST under /api, /metrics, /healthz and /readyz are served here; absent = yes.
        compression: http: WebSocket clients that offer permessage-deflate get it.
        echo_client_id: http, protobuf: SendMessageResponse carries the client's id as `message_id`.
        auth: qdatastream: what a registration needs: nothing but an id, a token, or a password;
            absent = nothing on the loopback interface, a password elsewhere.
        framing: qdatastream: how messages are told apart; absent = "auto", as each peer does it.
        presence: qdatastream: framed peers are sent PRESENCE.
        unframed_errors: qdatastream: unframed peers are sent ERROR, too.
        share_port: tcp endpoints: other servers on this machine that say the same may listen
            here, too; the kernel spreads the connections over them (SO_REUSEPORT).
    """

    format: Text
    endpoint: Text
    tls: Tls | None = None
    proxy_protocol: Proxies | None = None
    forwarded_for: Proxies | None = None
    dialect: Literal["draft", "chat-app"] | None = None
    require_authorization: bool | None = None
    paths: dict[Path, Literal["protobuf", "signalling", "meeting"]] | None = None
    signature: SignatureMode | None = None
    encryption: EncryptionMode | None = None
    allowed_origins: tuple[Text, ...] | None = None
    rest: bool | None = None
    compression: bool | None = None
    echo_client_id: bool | None = None
    auth: Literal["none", "token", "password"] | None = None
    framing: Literal["auto", "int16", "none"] | None = None
    presence: bool | None = None
    unframed_errors: bool | None = None
    share_port: bool | None = None


class StoreSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Where messages are kept.

    Attributes:
        engine: "sqlite": one file in the data directory; "redis": a Redis that several nodes share.
        flush_rows: sqlite: messages after which the indexes on disk are brought up to date:
            more = less work in all, and a longer start after a crash.
        url: redis: redis://[[user]:password@]host[:port][/database], rediss:// (TLS), unix:///path.
        password_file: redis: holds the password, so that it need not stand in the URL.
        ca: redis, rediss://: PEM file of the authorities that may vouch for it; absent = the system's.
        prefix: redis: what every key begins with; servers with different ones may share a database.
        timeout_seconds: redis: how long a command may take.
        sentinels: redis: host:port of the Redis Sentinels that say where the master is; then the host
            of `url` is not looked at.
        sentinel_service: what they call the master.
        sentinel_user / sentinel_password_file: who asks them, where they ask for a password.
        ack: redis: what a message's acknowledgement means: "master": Redis has it; "replicated": so do
            `replicas` replicas.
        replicas_seconds: how long they are waited for before the sender is refused.
    """

    engine: Literal["sqlite", "redis"] = "sqlite"
    flush_rows: Annotated[int, Meta(ge=10, le=1_000_000)] = 20_000
    url: Text = "redis://127.0.0.1:6379/0"
    password_file: Text | None = None
    ca: Text | None = None
    prefix: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")] = "im:"
    timeout_seconds: Annotated[float, Meta(ge=0.1, le=300)] = 5.0
    sentinels: tuple[Text, ...] = ()
    sentinel_service: Text | None = None
    sentinel_user: Text | None = None
    sentinel_password_file: Text | None = None
    ack: Literal["master", "replicated"] = "master"
    replicas: Annotated[int, Meta(ge=1, le=100)] = 1
    replicas_seconds: Annotated[float, Meta(ge=0.001, le=300)] = 1.0


class TokenKey(Struct, frozen=True, forbid_unknown_fields=True):
    """A foreign issuer's public key; its tokens are accepted for existing accounts."""

    kid: Text
    algorithm: Literal["RS256", "EdDSA"]
    public_key: Text


class Auth(Struct, frozen=True, forbid_unknown_fields=True):
    """Accounts and tokens.

    Attributes:
        self_registration: whether anybody may create an account; absent = only
            where every listener is on the loopback interface.
        access_token_seconds / refresh_token_seconds: lifetimes.
        password_time_cost / password_memory_kib: argon2id's parameters.
        password_threads: hashes computed at the same time.
        key: public keys (PEM files) of foreign token issuers.
    """

    self_registration: bool | None = None
    access_token_seconds: Annotated[int, Meta(ge=60)] = 3600
    refresh_token_seconds: Annotated[int, Meta(ge=60)] = 2_592_000
    password_time_cost: Count = 2
    password_memory_kib: Annotated[int, Meta(ge=8)] = 19_456
    password_threads: Annotated[int, Meta(ge=1, le=64)] = 2
    key: tuple[TokenKey, ...] = ()


class LogSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What the server writes about its doings.

    Attributes:
        format: "text" for people, "json" for programs: one object a line.
        access: a line for every HTTP request that was answered, without its query.
    """

    format: Literal["text", "json"] = "text"
    access: bool = False


class Performance(Struct, frozen=True, forbid_unknown_fields=True):
    """What is only about speed.

    Attributes:
        transport: "fast": sockets are read and written with less of Twisted in between, by parts of it
            that are not promised; where they are not as expected, and with "stock", Twisted's own way.
    """

    transport: Literal["fast", "stock"] = "fast"


class Turn(Struct, frozen=True, forbid_unknown_fields=True):
    """STUN and TURN servers that stand together, for WebRTC clients.

    Attributes:
        region: clients may ask for the servers of one region; "" = of every region.
        urls: such as "stun:HOST", "turn:HOST:PORT?transport=udp", "turns:HOST".
        secret_file: turn, turns: holds coturn's `static-auth-secret`. Read again on SIGHUP.
        credential_seconds: how long a user's credentials live.
    """

    urls: Annotated[tuple[Text, ...], Meta(min_length=1)]
    region: str = ""
    secret_file: Text | None = None
    credential_seconds: Annotated[int, Meta(ge=60)] = 3600


class MediaServer(Struct, frozen=True, forbid_unknown_fields=True):
    """A media server for the rooms of document 003.

    Attributes:
        name: for logs and metrics. A room's server follows from it: another name gets other rooms.
        wss / ws / https / http / rtsp: its addresses; clients are given those it has.
        weight: its share of the rooms.
        health: http or https URL that answers 2xx while it is well; absent = always healthy.
        health_interval_seconds: between the end of a check and the next one.
        health_timeout_seconds: for the whole answer.
        health_failures: failed checks in a row after which its rooms go to others.
        health_successes: good checks in a row after which it gets them back.
    """

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    wss: Text | None = None
    ws: Text | None = None
    https: Text | None = None
    http: Text | None = None
    rtsp: Text | None = None
    weight: Annotated[float, Meta(ge=0.001, le=1000)] = 1.0
    health: Text | None = None
    health_interval_seconds: Annotated[float, Meta(ge=0.1, le=3600)] = 5.0
    health_timeout_seconds: Annotated[float, Meta(ge=0.1, le=60)] = 3.0
    health_failures: Annotated[int, Meta(ge=1, le=100)] = 3
    health_successes: Annotated[int, Meta(ge=1, le=100)] = 5


class Shutdown(Struct, frozen=True, forbid_unknown_fields=True):
    """How the server goes, on SIGTERM. A second SIGTERM ends both waits.

    Attributes:
        notice_seconds: for so long /readyz says 503 and everybody is served as before, so
            that a balancer finds out before a connection is refused.
        drain_seconds: then nobody new is let in, and those who are there are sent away one
            after the other over this time: to other nodes, behind a balancer.
        returns_per_second: who is still there at the end is told to come back at this pace, in
            formats that can tell it.
    """

    notice_seconds: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    drain_seconds: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    returns_per_second: Annotated[float, Meta(ge=1, le=1_000_000)] = 1_000.0


DEVELOPMENT_LISTENERS = (
    Listener("http", "tcp:8081:interface=127.0.0.1", paths={"/ws": "protobuf"}, rest=False),
    Listener(
        "http",
        "tcp:8080:interface=127.0.0.1",
        paths={"/ws": "signalling", "/meeting": "meeting", "/im": "protobuf"},
    ),
    Listener("jsonline", "tcp:8088:interface=127.0.0.1"),
    Listener("qdatastream", "tcp:8888:interface=127.0.0.1"),
    Listener("files", "tcp:9500:interface=127.0.0.1"),
)
"""What is served where nothing is configured: plaintext, loopback only."""


class Configuration(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. data_dir "" = the place the platform suggests.

    Attributes:
        keys_dir: where token-keys.json and message-keys.json are, which all servers over one store
            share; "" = in the data directory.
        node: what this server is called among the nodes of one Redis, for logs; "" = the host's name.
        formats: further formats for listeners: key = "module:name" of an
            `imserver.protocols.formats.Format`. Its module is imported at the start.
        extensions: commands and content types for jsonline: key = "module:name" of an
            `imserver.protocols.extensions.ServerExtension`.
    """

    data_dir: str = ""
    node: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,40}$")] = ""
    keys_dir: str = ""
    formats: dict[Text, PythonObject] = {}
    extensions: dict[Text, PythonObject] = {}
    listener: Annotated[tuple[Listener, ...], Meta(min_length=1)] = DEVELOPMENT_LISTENERS
    limits: Limits = field(default_factory=Limits)
    store: StoreSettings = field(default_factory=StoreSettings)
    retention: Retention = field(default_factory=Retention)
    auth: Auth = field(default_factory=Auth)
    calls: CallLimits = field(default_factory=CallLimits)
    friends: FriendSettings = field(default_factory=FriendSettings)
    rooms: RoomLimits = field(default_factory=RoomLimits)
    files: FileLimits = field(default_factory=FileLimits)
    turn: tuple[Turn, ...] = ()
    media_server: tuple[MediaServer, ...] = ()
    shutdown: Shutdown = field(default_factory=Shutdown)
    log: LogSettings = field(default_factory=LogSettings)
    performance: Performance = field(default_factory=Performance)
