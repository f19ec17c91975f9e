"""Users and conversations as the memory holds them: what is decided about a send is decided on these.

`mark` is, on all of them, the serial of the batch that last changed something here
that is not in the log's tail; until that batch is finished they are not forgotten.
"""

from __future__ import annotations

NEVER = float("-inf")
NO_NAMES: dict[str, tuple[int, ...]] = {}
"""What users without names of their own share; never changed."""


class User:
    """A user with an account, as the append path needs it.

    Attributes:
        head: the highest inbox number, committed or on the way.
        names: conversation names this user knows, with the conversations they denote (as far as asked for).
        tokens, stamp: the token bucket of the send rate.
        mark: serial of the batch that last changed something here that is not in the tail.
        first, first_floor: the first kept number, and the floor it was computed for.
        blocks, friends: numbers of users, see `relations`; None = not loaded.
    """

    __slots__ = (
        "blocks",
        "broadcast_at",
        "first",
        "first_floor",
        "friends",
        "head",
        "mark",
        "name",
        "names",
        "no",
        "stamp",
        "tokens",
    )

    def __init__(self, no: int, name: str, head: int) -> None:
        self.no = no
        self.name = name
        self.head = head
        self.names = NO_NAMES
        self.tokens = 0.0
        self.stamp = NEVER
        self.broadcast_at = NEVER
        self.mark = 0
        self.first = 1
        self.first_floor = 0
        self.blocks: frozenset[int] | None = None
        self.friends: frozenset[int] | None = None

    def learn(self, name: str, conversations: tuple[int, ...]) -> None:
        """What a name denotes for this user."""
        if self.names is NO_NAMES:
            self.names = {}
        self.names[name] = conversations


class Pair:
    """A single conversation between users number a <= b.

    Attributes:
        head: the highest position, committed or on the way.
        names: own names in use for it; None = not loaded.
    """

    __slots__ = ("a", "b", "canonical", "head", "mark", "names", "no")

    def __init__(self, no: int, a: int, b: int, canonical: str, head: int) -> None:
        self.no = no
        self.canonical = canonical
        self.a = a
        self.b = b
        self.head = head
        self.names: set[str] | None = None
        self.mark = 0


class Member:
    """A current member of a group."""

    __slots__ = ("joined_at", "joined_pos", "name")

    def __init__(self, name: str, joined_at: float, joined_pos: int) -> None:
        self.name = name
        self.joined_at = joined_at
        self.joined_pos = joined_pos


class GroupState:
    """A group.

    Attributes:
        members: by user number, in order of standing.
        invited: user number -> name.
    """

    __slots__ = (
        "created_at", "deleted", "encrypted", "gid", "head", "invited", "mark", "members", "name", "no",
        "open", "owner", "password_hash",
    )  # fmt: skip

    def __init__(
        self,
        no: int,
        gid: str,
        name: str,
        owner: int,
        open: bool,
        password_hash: str,
        created_at: float,
        head: int,
    ) -> None:
        self.no = no
        self.gid = gid
        self.name = name
        self.owner = owner
        self.open = open
        self.password_hash = password_hash
        self.created_at = created_at
        self.head = head
        self.members: dict[int, Member] = {}
        self.invited: dict[int, str] = {}
        self.deleted = False
        self.encrypted = False
        self.mark = 0
