-- The commit point. Needs lists.lua, pairs.lua, targets.lua, feed.lua.
--
-- A message is stored as
--   [no, ms, part, position, name, sender, recipient, group, renamed, revoked by, revoked at, body]
-- where no, ms and part make its id; name: its conversation's name where it is not the canonical
-- one; renamed: users who are written the canonical name. The body comes from the sender's node.
-- Answers [no, ms, part, seq, name, whether it was known], or a word that says why not.

local sender, kind, target, name = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local client, digest, body = ARGV[5], ARGV[6], ARGV[7]
local now, deadline = tonumber(ARGV[8]), tonumber(ARGV[9])
local node, origin = ARGV[10], ARGV[11]
local interval, tolerance = tonumber(ARGV[12]), tonumber(ARGV[13])
local pause, friends_only = tonumber(ARGV[14]), ARGV[15] == '1'
local most_names, window = tonumber(ARGV[16]), tonumber(ARGV[17])

-- Nobody waits for this any more: it was refused.
local time = redis.call('TIME')
time = time[1] * 1000 + time[2] / 1000
if deadline > 0 and time > deadline then
  return 'late'
end
-- One node whose clock is fast must not drive the time of all, which never goes back.
now = math.min(now, time + 5000)

local account = redis.call('HMGET', P .. 'u:' .. sender, 'gen', 'tat', 'blk')
if not account[1] then
  return 'no-sender'
end

-- The target

local peer, group, fault, own, other
if kind == 'u' then
  other = redis.call('HMGET', P .. 'u:' .. target, 'gen', 'blk')
  if not other[1] then
    return 'no-recipient'
  end
  peer = target
elseif kind ~= 'b' then
  peer, group, fault, own = resolve(sender, kind, target)
  if fault then
    return fault
  end
  if own then
    name = target
  end
end

local function canonical()
  if peer then
    return single_name(sender, peer)
  elseif group then
    return 'group_' .. group
  end
  return 'broadcast'
end

-- Was this very send accepted before?

if client ~= '' then
  local known = redis.call('GET', P .. 'd:' .. client)
  if known then
    local first, at, no, seq = cmsgpack.unpack(known)
    local message = now - at < window and message_at(no)
    if message then
      local m = unpacked(message)
      if first ~= digest or m[7] ~= (peer or '') or m[8] ~= (group or '') then
        return 'other-payload'
      end
      local called = m[5]
      for _, user in ipairs(m[9]) do
        if user == sender then
          called = ''
        end
      end
      return {m[1], m[2], m[3], seq, called ~= '' and called or canonical(), 1}
    end
  end
end

-- May the two write to each other?

if peer and peer ~= sender then
  -- `blk` says whether a user has blocked anybody at all.
  other = other or redis.call('HMGET', P .. 'u:' .. peer, 'gen', 'blk')
  if account[3] and redis.call('HEXISTS', P .. 'bl:' .. sender, peer) == 1 then
    return 'blocks'
  end
  if (other[2] and redis.call('HEXISTS', P .. 'bl:' .. peer, sender) == 1)
    or (friends_only and redis.call('HEXISTS', P .. 'fr:' .. sender, peer) == 0) then
    return 'blocked'
  end
end

-- The send rate: `tat` is the time at which, sending evenly, all that was sent would be over.

if kind == 'b' then
  local last = tonumber(redis.call('HGET', P .. 'u:' .. sender, 'bat'))
  if last and now - last < pause then
    return 'broadcasts'
  end
  redis.call('HSET', P .. 'u:' .. sender, 'bat', string.format('%.3f', now))
elseif interval > 0 then
  local tat = math.max(tonumber(account[2]) or 0, now)
  if tat - now > tolerance then
    return 'too-fast ' .. string.format('%.3f', tat)
  end
  redis.call('HSET', P .. 'u:' .. sender, 'tat', string.format('%.3f', tat + interval))
end

-- Numbers

local log = redis.call('HMGET', P .. 'log', 'no', 'ms', 'part', 'bpos', 'floor')
local trims = log[5] -- nothing was ever trimmed before there was a floor
local no = (tonumber(log[1]) or 0) + 1
local row = string.format('%d', no) -- Redis would write a number with all digits of a float
local last_ms = tonumber(log[2]) or 0
local ms = math.max(math.floor(now), last_ms)
local part = tonumber(log[3]) or 0
redis.call('HSET', P .. 'log', 'no', row, 'ms', string.format('%d', ms))
if math.floor(ms / 3600000) > math.floor(last_ms / 3600000) then
  redis.call('HSETNX', P .. 'hours', math.floor(ms / 3600000), no)
end

local users, seqs, position, renamed = {sender}, {}, 0, {}

local function is_renamed(user)
  for index = 1, #renamed do
    if renamed[index] == user then
      return true
    end
  end
  return false
end

-- A client's own name for a pair: may it be used, who knows it otherwise, who learns it?
local function use_name(pair, known)
  if redis.call('SISMEMBER', P .. 'pn:' .. pair, name) == 0
    and redis.call('SCARD', P .. 'pn:' .. pair) >= most_names then
    name = ''
    return
  end
  for index = 1, #users do
    local has = known[index]
    if #has > 1 or (#has == 1 and has[1] ~= pair) or (#has == 0 and is_member(name, users[index])) then
      renamed[#renamed + 1] = users[index]
    end
  end
  for index = 1, #users do
    local user, has = users[index], known[index]
    local knows = false
    for at = 1, #has do
      knows = knows or has[at] == pair
    end
    -- The sender said it, so for the sender it denotes this conversation too; the other one
    -- learns only what it is written.
    if not knows and (user == sender or not is_renamed(user)) then
      has[#has + 1] = pair
      redis.call('HSET', P .. 'an:' .. user, name, table.concat(has, '\n'))
      redis.call('SADD', P .. 'pn:' .. pair, name)
    end
  end
end

if peer then
  local pair = pair_of(sender, peer)
  if peer ~= sender then
    users[2] = peer
  end
  if name ~= '' then
    local known, settled = {}, true
    for index = 1, #users do
      known[index] = pairs_named(users[index], name)
      settled = settled and #known[index] == 1 and known[index][1] == pair
    end
    if not settled then
      use_name(pair, known)
    end
  end
  local bases = {}
  if trims then
    bases = redis.call('HMGET', P .. 'base', 'cv:' .. pair, 'ib:' .. sender, 'ib:' .. peer)
  end
  position = redis.call('RPUSH', P .. 'cv:' .. pair, row) + (tonumber(bases[1]) or 0)
  seqs[1] = redis.call('RPUSH', P .. 'ib:' .. sender, row) + (tonumber(bases[2]) or 0)
  if peer ~= sender then
    seqs[2] = redis.call('RPUSH', P .. 'ib:' .. peer, row) + (tonumber(bases[3]) or 0)
  end
  if position == 1 then
    redis.call('SADD', P .. 'pt:' .. sender, peer)
    redis.call('SADD', P .. 'pt:' .. peer, sender)
  end
elseif group then
  name = ''
  local list = 'gv:' .. group
  position = redis.call('RPUSH', P .. list, row) + base_of(list)
  local members = redis.call('ZRANGE', P .. 'gm:' .. group, 0, -1)
  for index = 1, #members do
    if members[index] ~= sender then
      users[#users + 1] = members[index]
    end
  end
  for from = 1, #users, 1000 do
    local upto = math.min(from + 999, #users)
    local inboxes, bases = {}, {}
    if trims then
      for index = from, upto do
        inboxes[index - from + 1] = 'ib:' .. users[index]
      end
      bases = redis.call('HMGET', P .. 'base', unpack(inboxes))
    end
    for index = from, upto do
      local length = redis.call('RPUSH', P .. 'ib:' .. users[index], row)
      seqs[index] = length + (tonumber(bases[index - from + 1]) or 0)
    end
  end
else
  name = ''
  position = (tonumber(log[4]) or 0) + 1
  redis.call('HSET', P .. 'log', 'bpos', position)
  seqs[1] = redis.call('RPUSH', P .. 'ib:' .. sender, no) + base_of('ib:' .. sender)
  redis.call('HSET', P .. 'bc', no, '')
  redis.call('ZADD', P .. 'bs', no, no)
end

-- The message

local message = '\156'
  .. cmsgpack.pack(no, ms, part, position, name, sender, peer or '', group or '', renamed, '', 0)
  .. body
redis.call('HSET', bucket_of(no), row, message)
if client ~= '' then
  redis.call('SET', P .. 'd:' .. client, cmsgpack.pack(digest, now, no, seqs[1]), 'PX', window)
end
tell_entry(users, seqs, node, origin, message)

local called = name
if called == '' or is_renamed(sender) then
  called = canonical()
end
return {no, ms, part, seqs[1], called, 0}
