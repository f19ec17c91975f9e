"""REST: conversations and messages."""

from __future__ import annotations

from typing import Any

from imserver.http import message_views as views
from imserver.http.answers import Refused
from imserver.http.bodies import HistoryQuery, PageQuery, SendBody
from imserver.http.table import Accepted, Access, Call, Route
from imserver.model.conversations import ListConversations
from imserver.model.errors import ImError
from imserver.model.ids import check_id
from imserver.model.messages import Content, Form, MessageAccepted, ReadHistory, SendMessage
from imserver.wire import content as contents
from imserver.wire import extras


async def _conversations(call: Call) -> views.ConversationsData:
    page = await call.run(ListConversations(call.query.after, call.query.limit))
    return views.ConversationsData(
        [views.conversation(one) for one in page.conversations], page.next_cursor, page.has_more
    )


async def _history(call: Call) -> views.MessagesData:
    query: HistoryQuery = call.query
    conversation = call.path.get("conversation", "")
    page = await call.run(ReadHistory(conversation, since=query.since, limit=query.limit))
    return views.MessagesData(views.rows(page.rows), page.next_cursor, page.has_more)


def _content(value: Any) -> Content:
    if isinstance(value, str):
        return Content(Form.TEXT, value.encode())
    return contents.from_json(value)


def _command(body: SendBody) -> SendMessage:
    recipient = group = ""
    broadcast = False
    target = body.target
    if target is not None:
        if target.type == "broadcast":
            if target.id:
                raise Refused(400, "body: a broadcast has no target id")
            broadcast = True
        elif not target.id:
            raise Refused(400, "body: the target needs an id")
        elif target.type == "user":
            recipient = check_id(target.id)
        else:
            group = check_id(target.id, "group id")
    elif not body.conversation_id:
        raise Refused(400, "body: either target or conversation_id is needed")
    return SendMessage(
        content=_content(body.content),
        conversation=body.conversation_id,
        recipient=recipient,
        group=group,
        broadcast=broadcast,
        client_id=body.client_id,
        extra=extras.extra_from_json(body.extra),
        attachments=extras.attachments_from_json(body.attachments),
        meta=extras.meta_from_json(body.meta),
    )


async def _send(call: Call) -> Any:
    command = _command(call.body)
    try:
        done: MessageAccepted = await call.run(command)
    except ImError as error:
        call.context.send_ended(error)
        raise
    call.context.send_ended(None)
    data = views.SentData(done.message_id, done.conversation, done.seq, done.server_at, done.pending)
    return Accepted(data) if done.pending else data


ROUTES = (
    Route(
        "GET", "/api/conversations", "listConversations", "One's conversations, the newest first",
        Access.USER, _conversations, data=views.ConversationsData, query=PageQuery,
    ),
    Route(
        "GET", "/api/conversations/{conversation}/messages", "readConversation", "A conversation's messages",
        Access.USER, _history, data=views.MessagesData, query=HistoryQuery, errors=(404, 409),
    ),
    Route(
        "GET", "/api/messages", "readInbox", "The whole inbox", Access.USER, _history,
        data=views.MessagesData, query=HistoryQuery,
    ),
    Route(
        "POST", "/api/messages", "send",
        "Send a message; answered once it is durable (202: a broadcast that is still being fanned out)",
        Access.USER, _send, data=views.SentData, body=SendBody, accepted=True, errors=(404, 409),
    ),
)  # fmt: skip
