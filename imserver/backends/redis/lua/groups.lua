-- What all scripts about groups share. Needs lists.lua.

-- A user's intervals in a group ("iv:<group>"): a new one begins, or the open one ends, at the
-- conversation's newest position.
local function begin_interval(group, user, head)
  local before = redis.call('HGET', P .. 'iv:' .. group, user)
  local interval = string.format('%d-', head)
  redis.call('HSET', P .. 'iv:' .. group, user, before and before .. ' ' .. interval or interval)
end

local function end_interval(group, user, head)
  local open = redis.call('HGET', P .. 'iv:' .. group, user)
  redis.call('HSET', P .. 'iv:' .. group, user, open .. string.format('%d', head))
end

local function has_group(group)
  return redis.call('EXISTS', P .. 'g:' .. group) == 1
end

-- [fields, members, times at which each joined, those invited]
local function group_record(group)
  local members = redis.call('ZRANGE', P .. 'gm:' .. group, 0, -1)
  local joined = {}
  for from = 1, #members, 1000 do
    local times = redis.call('HMGET', P .. 'gj:' .. group, unpack(members, from, math.min(from + 999, #members)))
    for index = 1, #times do
      joined[from + index - 1] = times[index]
    end
  end
  return {
    redis.call('HMGET', P .. 'g:' .. group, 'name', 'owner', 'open', 'hash', 'at', 'enc'),
    members,
    joined,
    redis.call('SMEMBERS', P .. 'gi:' .. group),
  }
end

-- [id, name, owner, open, hash, at, enc, number of members]
local function group_summary(group)
  local fields = redis.call('HMGET', P .. 'g:' .. group, 'name', 'owner', 'open', 'hash', 'at', 'enc')
  local count = redis.call('ZCARD', P .. 'gm:' .. group)
  return {group, fields[1], fields[2], fields[3], fields[4], fields[5], fields[6], count}
end

local function end_group(group, head)
  local members = redis.call('ZRANGE', P .. 'gm:' .. group, 0, -1)
  for index = 1, #members do
    end_interval(group, members[index], head)
    redis.call('SREM', P .. 'ug:' .. members[index], group)
  end
  redis.call('DEL', P .. 'g:' .. group, P .. 'gm:' .. group, P .. 'gj:' .. group, P .. 'gi:' .. group)
  redis.call('ZREM', P .. 'groups', group)
end
