"""What everything is called in Redis. docs/scaling.md tells the same at length.

Every key begins with the prefix (default "im:"), every channel with the prefix and the number of
the database (default "im:0:"), because channels are common to all databases. Scripts write
`P .. "u:" .. user` and `C .. "feed:" .. node`; Python writes `redis.prefix + ACCOUNT + user`.

Ids of users and groups have no control characters and no "/" (`model.ids`), so "/" and control
characters separate them. In the table, an owner is named where one module alone writes a key;
everybody may read.

Accounts (`accounts`)
  users               sorted set, scores 0: every account's name, in byte order
  u:<user>            hash: `gen` (generation), `hash` (of the password), `role`, `off` (disabled),
                      `at` (created), beside which the store keeps `tat` (send rate, `appends`),
                      `bat` (last broadcast) and `blk` (the user has blocked somebody)
  seen                hash: user -> when last seen
  sid:<sid>           hash with a time to live: a log-in, fields as in `model.accounts.Grant`
  us:<user>           sorted set: sids of the user's log-ins -> when they are forgotten

Groups (`groups`); the store decides sends on them
  groups              sorted set, scores 0: ids of the groups there are
  gx                  set: every group id ever taken
  g:<group>           hash, as long as the group exists: `name`, `owner`, `open`, `hash` (of the
                      password), `at` (created), `enc` (encrypted), `standing` (last one given)
  gm:<group>          sorted set: member -> standing (a number that grows with every joining)
  gj:<group>          hash: member -> when joined
  gi:<group>          set of those invited
  ug:<user>           set of the user's groups
  iv:<group>          hash: user -> what the user may see of it, "after-upto after-upto after-": positions
                      after which a membership began and up to which it lasted; the last one is open as
                      long as the user is a member. Stays when the group is deleted.

Friends (`friends`)
  fr:<user>           hash: friend -> since
  bl:<user>           hash: whom the user has blocked -> since
  bb:<user>           set: who has blocked the user
  rq:<user>           sorted set: who asked to be the user's friend -> the change that
                      told the user, 0 = none did
  fs:<user>           hash: whom the user has asked -> number of the open request
  fq                  last number of a request
  fq:<no>             hash, as long as the request is open: `asker`, `asked`, `message`, `at`

Messages (`appends` and what reads them)
  log                 hash: `no` last message's number, `ms` its time, `part` the middle part of new
                      ids, `floor` first number kept, `bpos` last broadcast's position, `change`
                      last change's number, `cfloor` first change kept
  m:<no / 128>        hash: no -> the message
  ib:<user>           list: numbers of the messages in the user's inbox, ascending
  cv:<a>/<b>          list: the same for a single conversation (a <= b in byte order)
  gv:<group>          list: the same for a group
  base                hash: the part of a list's key after the prefix -> how many were trimmed from
                      its beginning; what is at index i has the number base + i + 1
  pt:<user>           set: with whom a single conversation exists
  an:<user>           hash: a name of a conversation the user knows -> its pairs, "a/b" each, joined
                      by newlines
  pn:<a>/<b>          set: own names in use for a single conversation
  d:<digest>          string with a time to live: a client id was used, and what for
  hours               hash: hour -> first number of that hour
  bc                  hash: number of a broadcast not fanned out yet -> the last user reached
  bs                  sorted set: numbers of the broadcasts that are kept -> the same
  bf:<no>             list: the steps of a broadcast's fan-out, "<last user>\\0<number of the copy>"

Devices, changes, calls
  dv:<user>           hash: "<format>\\0<device>" -> its cursors
  c:<change>          string with a time to live: a change
  ch:<user>, ch       sorted set: numbers of the user's changes; everybody's
  mc:<user>           sorted set: numbers of the changes that told of missed calls
  call:<no>, cl:<user>, ci, calls, oc:<node>, oca    records of calls

Files (`files`)
  tr:<no>             hash: a transfer's record, the fields of `services.file_ports.Transfer`
  tri, trf            hash: id of a transfer, or of its file -> no
  trc:<owner>         hash: "<format>\\0<client id>" -> no
  tru:<user>          sorted set, scores = numbers: those the user sends, and those to the user alone
  tro:<user>          sorted set, scores = numbers: open and stored ones to the user that wait
  trg:<group>         sorted set: open and stored ones to a group -> when they were asked for
  tre, trz            sorted set: those that are open or stored; those that have ended -> when they expire
  trm                 sorted set: stored ones of which no message has told
  trh:<sha256>        set: stored ones with these bytes
  trd:<no>            hash: recipient -> accepted, rejected, delivered
  tra:<user>          hash: what the user's open and stored ones take: `open`, `files`, `bytes`
  (`log` has `tr`, the last number, and `trb`, the bytes of all)

Nodes. A node's name is its process's; its identity is "<name>:<n>", another one each time it joins.
  nodes               hash: identity -> signs of life, of every live node (`nodes`)
  retired             set: identities of nodes that go down and are home to nothing new (`nodes`)
  dead                set: identities of lost nodes of which something is left (`reaper`)
  sl:<slot>           string: "<identity>\\0<value>", who has a slot (`slots`)
  ns:<identity>       set: the slots of a node
  at:<user>           hash: identity -> the user's rank and sessions there (`attendance`)
  nu:<identity>       set: users with sessions on a node
  shown               hash: user -> the rank that was announced last, if it is not 0; -1 if that is not known
  told:<identity>     sorted set with a time to live: users of whom a node announced something, up to a
                      minute before it last did -> when
  late                sorted set: users of whom something else was announced last than is so -> since when
  hosts               hash: user -> names of the nodes that have live sessions of the user, joined by spaces
  epoch               hash: see `epoch`; `files`: what the folder of files is known by (`files`)
  migrating           string: what is here is not whole yet (`importing`)
  mark                string: written before replicas are waited for (`replicas`)

Requests and messages that come once
  ra:<peer>           hash with a time to live: id -> [digest, node, answer], "" -> bytes of all
                      answers (`answers`); a peer is "<user>/<format>"
  rz:<peer>           sorted set: ids that were answered -> when
  nonces              hash: `since` when every nonce is known, in which `run` of Redis (`nonces`)
  no:<slot>:<kid>     set with a time to live: nonces used under a key in one span of time

Channels
  epoch               the name of an epoch that has begun
  feed:<name>         what is committed, for the sessions of a node
  bus:<name>          what one node tells another (`exchange`)
  nodes               a node came or went
"""

from __future__ import annotations

ACCOUNT = "u:"
USERS = "users"
GROUP = "g:"
GROUPS = "groups"
MEMBERS = "gm:"
HOSTS = "hosts"
LOG = "log"
FEED = "feed:"
EPOCH = "epoch"
BUS = "bus:"

NODE_NAME = r"[A-Za-z0-9._-]{1,64}"
"""What a node may be called (a regular expression)."""


def pair_key(one: str, other: str) -> str:
    """How a pair is named in keys: "<a>/<b>", the smaller id in byte order first."""
    if one.encode() > other.encode():
        one, other = other, one
    return f"{one}/{other}"
