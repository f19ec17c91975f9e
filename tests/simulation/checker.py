"""The judge: reads a history and says what the server did that it must never do.

It knows the rules of CONTRACT.md's chat part and nothing of the server's inside;
what the harness witnessed of the server (who was a member when, what the engine
itself finds in its inboxes) only narrows down what clients may have seen.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

from imserver.model.errors import ErrorCode, ImError
from imserver.model.messages import Message, MessageAccepted, MessageRevoked
from tests.simulation.client import JSONLINE, PROTOBUF
from tests.simulation.history import DAY, FOREVER, FinalView, History, Link, Membership, Send

_TOKEN = re.compile(rb"<m\d+>")
_FINE_REFUSALS = frozenset(
    {
        ErrorCode.UNAVAILABLE,
        ErrorCode.TOO_FAST,
        ErrorCode.CONFLICT,
        ErrorCode.FORBIDDEN,
        ErrorCode.NOT_FOUND,
        ErrorCode.CONVERSATION_NOT_FOUND,
        ErrorCode.USER_NOT_FOUND,
        ErrorCode.BAD_REQUEST,
    }
)


class Members:
    """Who was a member of a group when, as far as anybody can know."""

    def __init__(self, changes: Iterable[Membership]) -> None:
        self._changes: dict[tuple[str, str], list[Membership]] = defaultdict(list)
        for change in changes:
            self._changes[change.group, change.user].append(change)

    def during(self, group: str, user: str, first: int, last: int) -> bool | None:
        """Whether the user was a member throughout these steps; None if that may have changed meanwhile."""
        possible = {False}
        busy_until = -1
        for change in self._changes.get((group, user), ()):
            if change.began > last:
                break
            if change.certain and change.ended < first and change.began > busy_until:
                possible = {change.joined}
            else:
                # It overlaps with these steps or with the change before it, or nobody knows what came of it.
                possible = possible | {change.joined}
            busy_until = max(busy_until, change.ended)
        return possible.pop() if len(possible) == 1 else None

    def switches(self, group: str, user: str) -> int:
        """How often the membership can have changed."""
        return len(self._changes.get((group, user), ()))


class Checker:
    """Checks one history; `run` returns what it found, in words, empty if all is well."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.faults: list[str] = []
        self.members = Members(history.memberships)
        self.by_text: dict[bytes, Send] = {send.text.encode(): send for send in history.sends}
        self.by_id: dict[str, Message] = {}  # as the final inboxes have it
        self.seq: dict[str, dict[str, int]] = {user: {} for user in history.users}  # user -> id -> seq
        self.at: dict[str, dict[int, Message]] = {user: {} for user in history.users}
        self.sent: dict[int, Message] = {}  # number of the send -> its message, the one that was answered
        self.send_of: dict[str, Send] = {}  # message id -> its send
        self.revoked: set[str] = set()
        self._began: dict[tuple[str, str, str], int] = {}  # device -> where it began

    def fault(self, text: str) -> None:
        """Notes a violation."""
        self.faults.append(text)

    def run(self) -> list[str]:
        """Checks everything."""
        self.faults.extend(self.history.verified)
        self.faults.extend(self.history.faults)
        before = len(self.faults)
        for user in self.history.users:
            view = self.history.finals.get(user)
            if view is None:
                self.fault(f"{user}: could not read the inbox in the end")
            else:
                self._inbox(user, view)
        if len(self.history.epochs) > 1:
            self.fault(f"the epoch changed: {sorted(self.history.epochs)}")
        if len(self.faults) > before:
            return self.faults  # the rest would only repeat it
        self._identify()
        self._sends()
        self._client_ids()
        self._orders()
        self._revokes()
        self._reads()
        for link in self.history.links:
            self._link(link)
        self._cursors()
        self._conversations()
        return self.faults

    # What the inboxes hold

    def _inbox(self, user: str, view: FinalView) -> None:
        seqs = [row.seq for row in view.synced]
        expected = list(range(view.first_seq, view.head + 1))
        if seqs != expected:
            self.fault(f"{user}: inbox numbers are {_spans(seqs)}, not {view.first_seq}..{view.head}")
        for name, rows in (("history", view.listed), ("engine", view.stored)):
            if [row.seq for row in rows] != seqs:
                self.fault(f"{user}: {name} lists {_spans([row.seq for row in rows])}, sync {_spans(seqs)}")
        ids: dict[str, int] = {}
        for row in view.synced:
            first = ids.setdefault(row.message.message_id, row.seq)
            if first != row.seq:
                self.fault(
                    f"{user}: {row.message.message_id} is in the inbox twice, at {first} and {row.seq}"
                )
            self.at[user][row.seq] = row.message
        self.seq[user] = ids
        for rows in (view.listed, view.stored):
            for row in rows:
                known = self.at[user].get(row.seq)
                if known is not None:
                    self._same(f"{user} seq {row.seq}", known, row.message)
        for row in view.stored:
            known = self.by_id.setdefault(row.message.message_id, row.message)
            self._same(f"{user} seq {row.seq}", known, row.message)
            if known.position != row.message.position or known.canonical != row.message.canonical:
                self.fault(f"{row.message.message_id}: members have it at different places")

    def _same(self, where: str, one: Message, other: Message) -> None:
        """Two accounts of one message that must agree in everything but times and the conversation's name."""
        if one.message_id != other.message_id:
            self.fault(f"{where}: {one.message_id} and {other.message_id}")
        elif _payload(one) != _payload(other):
            self.fault(f"{where}: two accounts of {one.message_id}: {_payload(one)} / {_payload(other)}")

    def _identify(self) -> None:
        """Finds the send behind every message; a message without one was invented."""
        answers: dict[str, Send] = {}
        for send in self.history.sends:
            for attempt in send.attempts:
                if isinstance(attempt.outcome, MessageAccepted):
                    answers[attempt.outcome.message_id] = send
        pushed: dict[str, Message] = {}
        for link in self.history.links:
            for push in link.pushes:
                if push.message.revoked is None:
                    pushed[push.message.message_id] = push.message
        copies: dict[int, list[Message]] = defaultdict(list)
        for message_id, message in self.by_id.items():
            content = message
            if message.revoked is not None:
                self.revoked.add(message_id)
                content = pushed.get(message_id, message)
            found = _TOKEN.search(content.content.data)
            behind = self.by_text.get(found.group()) if found else answers.get(message_id)
            if behind is None and message.revoked is not None:
                behind = self._by_client_id(message)
            if behind is None:
                self.fault(f"{message_id}: nobody sent this")
                continue
            send = behind
            self.send_of[message_id] = send
            if message_id in answers or send.number not in self.sent:
                self.sent[send.number] = message
            for other in copies[send.number]:
                if not _forgotten_between(send, other.server_at, message.server_at):
                    self.fault(f"{send.text} is there twice: {other.message_id} and {message_id}")
            copies[send.number].append(message)
            self._as_sent(send, message)

    def _by_client_id(self, message: Message) -> Send | None:
        """The send behind a message of which nobody saw the content before it was taken back."""
        for send in self.history.sends:
            if (
                send.user == message.sender
                and send.client_id == message.client_id
                and send.attempts
                and send.number not in self.sent
                and (send.peer in (message.recipient, "?") and send.group == message.group)
            ):
                return send
        return None

    def _as_sent(self, send: Send, message: Message) -> None:
        command = send.command
        wrong = []
        if message.sender != send.user:
            wrong.append("sender")
        if message.client_id != send.client_id:
            wrong.append("client id")
        if message.group != send.group:
            wrong.append("group")
        if send.peer == "?":
            if not self._name_was_known(send, message):
                wrong.append("recipient by name")
        elif message.recipient != send.peer:
            wrong.append("recipient")
        if message.revoked is None:
            if message.content != command.content:
                wrong.append("content")
            if message.extra != command.extra:
                wrong.append("extra")
            if message.attachments != command.attachments:
                wrong.append("attachments")
            if message.meta != command.meta:
                wrong.append("meta")
        elif message.content.data:
            wrong.append("content left after the revoke")
        if wrong:
            self.fault(f"{send.text} ({message.message_id}) was changed: {', '.join(wrong)}")

    def _name_was_known(self, send: Send, message: Message) -> bool:
        """Whether anybody ever used that name for that pair before."""
        pair = {send.user, message.recipient}
        return any(
            other.command.conversation == send.command.conversation
            and {other.user, other.peer} == pair
            and other.attempts
            and other.invoked <= send.settled
            for other in self.history.sends
        )

    # Sends and their answers

    def _sends(self) -> None:
        for send in self.history.sends:
            if not send.attempts:
                continue
            accepted = [one for one in send.attempts if isinstance(one.outcome, MessageAccepted)]
            for attempt in send.attempts:
                if isinstance(attempt.outcome, ImError) and attempt.outcome.code not in _FINE_REFUSALS:
                    self.fault(f"{send.text}: refused with {attempt.outcome!r}")
            answers = {
                (one.outcome.message_id, one.outcome.seq)
                for one in accepted
                if isinstance(one.outcome, MessageAccepted)
            }
            if len(answers) > 1:
                self.fault(f"{send.text}: different answers {sorted(answers)}")
            message = self.sent.get(send.number)
            if send.accepted is None:
                if message is not None:
                    self._refused_but_there(send, message)
                    self._recipients(send, message)
                continue
            answer = send.accepted
            if answer.seq < self.history.finals[send.user].first_seq and (
                message is None
                or (
                    message.message_id != answer.message_id
                    and _forgotten_between(send, answer.server_at, message.server_at)
                )
            ):
                continue  # trimmed by retention
            if message is None:
                self.fault(f"{send.text}: acknowledged as {answer.message_id} and lost")
                continue
            if message.message_id != answer.message_id:
                self.fault(f"{send.text}: answered as {answer.message_id}, stored as {message.message_id}")
                continue
            seq = self.seq[send.user].get(message.message_id)
            if seq is not None and seq != answer.seq:
                self.fault(f"{send.text}: answered with seq {answer.seq}, in the inbox at {seq}")
            self._recipients(send, message)

    def _refused_but_there(self, send: Send, message: Message) -> None:
        """A send that was refused for good, every time, must not have happened."""
        if all(
            isinstance(one.outcome, ImError) and one.outcome.code is not ErrorCode.UNAVAILABLE
            for one in send.attempts
        ):
            self.fault(f"{send.text}: always refused, yet there is {message.message_id}")

    def _recipients(self, send: Send, message: Message) -> None:
        message_id = message.message_id
        for user in self.history.users:
            expected = self._rightful(send, message, user)
            there = message_id in self.seq[user]
            if there and expected is False:
                self.fault(f"{send.text} ({message_id}) is in {user}'s inbox, who must not see it")
            elif not there and expected is True and not self._trimmed(user, message):
                self.fault(f"{send.text} ({message_id}) is missing in {user}'s inbox")

    def _rightful(self, send: Send, message: Message, user: str) -> bool | None:
        if send.command.broadcast:
            return True
        if not message.group:
            return user in (message.sender, message.recipient)
        return self.members.during(message.group, user, send.invoked, send.settled)

    def _trimmed(self, user: str, message: Message) -> bool:
        """Whether retention may have taken a message from this inbox: everything kept is younger."""
        first = self.history.finals[user].first_seq
        if first <= 1:
            return False
        kept = self.at[user].get(first)
        # Ids end in the order of commits; the front is a clock that may have jumped.
        return kept is None or message.message_id[-12:] < kept.message_id[-12:]

    def _client_ids(self) -> None:
        """One client id, one message, for as long as it is remembered (see `_forgotten_between`)."""
        by_key: dict[tuple[str, str, str], list[Send]] = defaultdict(list)
        for send in self.history.sends:
            if send.client_id and send.number in self.sent:
                by_key[send.user, send.format, send.client_id].append(send)
        for (user, format, client_id), sends in by_key.items():
            times = sorted(self.sent[send.number].server_at for send in sends)
            if any(later - earlier < DAY for earlier, later in pairwise(times)):
                texts = ", ".join(send.text for send in sends)
                self.fault(f"{user}/{format}: client id {client_id} made several messages: {texts}")

    # Order

    def _orders(self) -> None:
        places: dict[str, dict[int, str]] = defaultdict(dict)
        for message_id, message in self.by_id.items():
            other = places[message.canonical].setdefault(message.position, message_id)
            if other != message_id:
                self.fault(f"{message.canonical} position {message.position}: {other} and {message_id}")
        for user in self.history.users:
            last: dict[str, int] = {}
            for seq in sorted(self.at[user]):
                message = self.by_id[self.at[user][seq].message_id]
                if message.position <= last.get(message.canonical, 0):
                    self.fault(f"{user} seq {seq}: {message.canonical} goes back to {message.position}")
                last[message.canonical] = message.position
            self._order_of_senders(user)
        self._contiguous(places)

    def _order_of_senders(self, user: str) -> None:
        """Two messages of one connection, the second sent after the first, arrive in that order."""
        numbers: dict[str, int] = self.seq[user]
        per_link: dict[int, list[tuple[int, Send]]] = defaultdict(list)
        for send in self.history.sends:
            message = self.sent.get(send.number)
            if message is None or message.message_id not in numbers:
                continue
            # Only where it is certain which attempt made the message; broadcasts are fanned out later.
            if len(send.attempts) == 1 and not send.command.broadcast:
                per_link[send.attempts[0].link.number].append((send.attempts[0].invoked, send))
        for sends in per_link.values():
            highest = 0
            previous: Send | None = None
            for _, send in sorted(sends, key=lambda one: (one[0], one[1].number)):
                seq = numbers[self.sent[send.number].message_id]
                if seq < highest and previous is not None:
                    self.fault(f"{user}: {send.text} (seq {seq}) came before {previous.text} (seq {highest})")
                if seq > highest:
                    highest, previous = seq, send

    def _contiguous(self, places: dict[str, dict[int, str]]) -> None:
        """What a user has of a group are as many stretches as there were memberships, without holes."""
        for canonical, positions in places.items():
            numbers = sorted(positions)
            sample = self.by_id[positions[numbers[0]]]
            if numbers != list(range(numbers[0], numbers[-1] + 1)):
                self.fault(f"{canonical}: positions {_spans(numbers)} have holes")
            if not sample.group:
                continue
            for user in self.history.users:
                has = [positions[number] in self.seq[user] for number in numbers]
                changes = sum(one != other for one, other in pairwise(has))
                # One more: retention may have cut the front.
                if changes > self.members.switches(sample.group, user) + 1:
                    self.fault(f"{user}: holes in {canonical}: {''.join('.#'[one] for one in has)}")

    # What was seen on the way

    def _link(self, link: Link) -> None:
        who = f"{link.user}/{link.device} link {link.number}"
        if link.logged_in is None:
            if link.pushes:
                self.fault(f"{who}: pushed to before the log-in was answered")
            return
        first_seq = self.history.finals[link.user].first_seq
        last = link.logged_in.head if link.format == PROTOBUF else self._goes_on_after(link)
        if link.format == JSONLINE and link.pushes:
            before, last = last, link.pushes[0].seq - 1
            self._gap(who, link, before, last + 1, first_seq, "skipped at log-in")
        for push in link.pushes:
            if push.seq <= last:
                self.fault(f"{who}: seq {push.seq} pushed after {last}")
            self._gap(who, link, last, push.seq, first_seq)
            last = max(last, push.seq)
            self._was_there(who, link.user, push.seq, push.message, first_seq)
        if link.closed == FOREVER and not link.kicked:
            self._gap(who, link, last, self.history.finals[link.user].head + 1, first_seq, "never pushed")

    def _goes_on_after(self, link: Link) -> int:
        """The furthest number after which a log-in's backlog may begin."""
        device = (link.user, link.format, link.device)
        after = max(link.acked, self.history.finals[link.user].first_seq - 1)
        if link.new:
            # What the user's other devices sent themselves counts for them as acknowledged.
            while (message := self.at[link.user].get(after + 1)) is not None and message.sender == link.user:
                after += 1
            self._began[device] = after
        after = max(after, self._began.get(device, 0))
        while (message := self.at[link.user].get(after + 1)) is not None and self._sent_by(device, message):
            after += 1
        return after

    def _sent_by(self, device: tuple[str, str, str], message: Message) -> bool:
        send = self.send_of.get(message.message_id)
        return send is not None and any(
            (attempt.link.user, attempt.link.format, attempt.link.device) == device
            for attempt in send.attempts
        )

    def _gap(self, who: str, link: Link, last: int, seq: int, first_seq: int, what: str = "left out") -> None:
        """Every number between must be a message that this very connection sent, or have been trimmed."""
        for missing in range(max(last + 1, first_seq), seq):
            message = self.at[link.user].get(missing)
            if message is None or not self._sent_here(link, message):
                self.fault(f"{who}: seq {missing} {what} (before {seq})")

    def _sent_here(self, link: Link, message: Message) -> bool:
        send = self.send_of.get(message.message_id)
        return send is not None and any(attempt.link is link for attempt in send.attempts)

    def _was_there(self, who: str, user: str, seq: int, message: Message, first_seq: int) -> None:
        """What was seen under a number is what the inbox has there, or was taken back since."""
        final = self.at[user].get(seq)
        if final is None:
            if seq >= first_seq:
                self.fault(f"{who}: seen at seq {seq}, never in the inbox: {message.message_id}")
            return
        if final.message_id != message.message_id:
            self.fault(f"{who}: seq {seq} was {message.message_id} and is {final.message_id}")
        elif final.revoked is None:
            if _payload(final) != _payload(message):
                self.fault(
                    f"{who}: {message.message_id} was seen as {_payload(message)}, is {_payload(final)}"
                )
            if message.conversation not in (final.conversation, self.by_id[message.message_id].canonical):
                self.fault(
                    f"{who}: {message.message_id} was in {message.conversation}, is in {final.conversation}"
                )

    def _reads(self) -> None:
        for read in self.history.reads:
            who = f"{read.user} read {read.scope}"
            first_seq = self.history.finals[read.user].first_seq
            previous = read.after
            for row in read.rows:
                if read.scope == "inbox":
                    if row.seq <= previous:
                        self.fault(f"{who}: seq {row.seq} after {previous}")
                    for missing in range(max(previous + 1, first_seq), row.seq):
                        self.fault(f"{who}: seq {missing} left out")
                    previous = row.seq
                    self._was_there(who, read.user, row.seq, row.message, first_seq)
                elif row.message.message_id not in self.seq[read.user] and not self._trimmed(
                    read.user, row.message
                ):
                    self.fault(f"{who}: shown {row.message.message_id}, which is not in the inbox")

    # Afterwards

    def _revokes(self) -> None:
        done: dict[str, str] = {}
        for revoke in self.history.revokes:
            if revoke.answered and not isinstance(revoke.outcome, ImError):
                done.setdefault(revoke.message_id, revoke.user)
                message = self.by_id.get(revoke.message_id)
                if message is not None and message.revoked is None:
                    self.fault(
                        f"{revoke.message_id}: {revoke.user}'s revoke was answered, the content is there"
                    )
        asked = {revoke.message_id for revoke in self.history.revokes}
        for message_id in self.revoked:
            if message_id not in asked:
                self.fault(f"{message_id}: revoked, and nobody asked for it")
        for revoke in self.history.revokes:
            outcome = revoke.outcome
            message = self.by_id.get(revoke.message_id)
            if not isinstance(outcome, ImError) and revoke.answered and message is not None:
                allowed = revoke.user == message.sender or bool(message.group)
                if not allowed:
                    self.fault(f"{revoke.message_id}: taken back by {revoke.user}, who may not")
        self._told_of_revokes(done)
        self._shown_after_revokes()

    def _shown_after_revokes(self) -> None:
        """What was told to be taken back does not come with its content after that."""
        for link in self.history.links:
            told = {
                event.message_id: step for step, event in link.events if isinstance(event, MessageRevoked)
            }
            for push in link.pushes:
                message = push.message
                if message.revoked is None and told.get(message.message_id, FOREVER) < push.step:
                    self.fault(f"{link.user}/{link.format}: {message.message_id} shown after its revoke")

    def _told_of_revokes(self, done: dict[str, str]) -> None:
        """Every device that had logged in before an answered revoke, and is there at the end, heard of it."""
        heard: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        known: dict[tuple[str, str, str], int] = {}
        there: set[tuple[str, str, str]] = set()
        origins: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
        first: dict[str, int] = {}
        for link in self.history.links:
            if link.logged_in is None:
                continue
            device = (link.user, link.format, link.device)
            known[device] = min(known.get(device, FOREVER), link.login_step)
            heard[device].update(
                event.message_id for _, event in link.events if isinstance(event, MessageRevoked)
            )
            if link.closed == FOREVER and not link.kicked:
                there.add(device)
        for revoke in self.history.revokes:
            link = revoke.link
            origins[revoke.message_id].add((link.user, link.format, link.device))
            first.setdefault(revoke.message_id, revoke.invoked)
        for device in sorted(there):
            for message_id in done:
                if (
                    message_id in self.seq[device[0]]
                    and not self.by_id[message_id].group  # who has left a group is not told
                    and known[device] < first[message_id]
                    and device not in origins[message_id]
                    and message_id not in heard[device]
                ):
                    self.fault(f"{'/'.join(device)}: not told of the revoke of {message_id}")

    def _cursors(self) -> None:
        """A device's cursor is never beyond what some device of the user acknowledged."""
        by_user: dict[str, int] = defaultdict(int)
        for ack in self.history.acks:
            by_user[ack.user] = max(by_user[ack.user], ack.seq)
        for (user, format, device), acked in self.history.cursors.items():
            for seq in range(max(by_user[user] + 1, self.history.finals[user].first_seq), acked + 1):
                message = self.at[user].get(seq)
                if message is None or message.sender != user:
                    self.fault(
                        f"{user}/{format}/{device}: cursor at {acked}, acknowledged only {by_user[user]}"
                    )
                    break

    def _conversations(self) -> None:
        """A conversation shows exactly what its reader's inbox has of it."""
        for user, view in self.history.finals.items():
            for canonical in view.conversations.keys() | view.refused.keys():
                inbox = [row.message.message_id for row in view.stored if row.message.canonical == canonical]
                shown = [row.message.message_id for row in view.conversations.get(canonical, ())]
                if shown != inbox:
                    self.fault(f"{user}: {canonical} shows {len(shown)} messages, the inbox has {len(inbox)}")


def _forgotten_between(send: Send, one: float, other: float) -> bool:
    """Whether a send may rightly have made two messages, committed at these times (seconds).

    What waits in the server for its sender's rate, while days pass, comes after its client id is
    forgotten; a retry that had been quicker has been answered by then.
    """
    return bool(send.client_id) and abs(one - other) >= DAY


def _payload(message: Message) -> tuple[object, ...]:
    """What every account of a message agrees on."""
    if message.revoked is not None:
        return (
            message.message_id,
            message.sender,
            message.recipient,
            message.group,
            message.client_id,
            "revoked",
        )
    return (
        message.message_id,
        message.sender,
        message.recipient,
        message.group,
        message.client_id,
        message.content,
        tuple(sorted(message.extra.items())),
        message.attachments,
        message.meta,
    )


def _spans(numbers: list[int]) -> str:
    """Numbers in short."""
    spans: list[str] = []
    start = previous = 0
    for index, number in enumerate(numbers):
        if index and number == previous + 1:
            previous = number
            continue
        if index:
            spans.append(f"{start}..{previous}" if previous > start else f"{start}")
        start = previous = number
    if numbers:
        spans.append(f"{start}..{previous}" if previous > start else f"{start}")
    return ", ".join(spans) or "none"
