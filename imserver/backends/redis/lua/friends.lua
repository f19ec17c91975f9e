-- What all scripts about friends share. Needs pairs.lua, feed.lua, changes.lua.
--
-- All begin with the same arguments: actor, other, at, node, origin, seconds (how long changes
-- are kept). They answer [how the actor stands to the other, number of the actor's open request,
-- the other's name], or a word that says why not.

local actor, other, at, node, origin, seconds = unpack(ARGV, 1, 6)

local function blocks(user, peer)
  return redis.call('HEXISTS', P .. 'bl:' .. user, peer) == 1
end

local function are_friends()
  return redis.call('HEXISTS', P .. 'fr:' .. actor, other) == 1
end

-- The number of an open request, nil if there is none.
local function open_request(asker, asked)
  return redis.call('HGET', P .. 'fs:' .. asker, asked)
end

local function close_request(asker, asked, no)
  redis.call('HDEL', P .. 'fs:' .. asker, asked)
  redis.call('ZREM', P .. 'rq:' .. asked, asker)
  redis.call('DEL', P .. 'fq:' .. no)
end

-- Tells of a change: the other one, too, unless that is none of its business, or it has blocked the
-- actor. Answers the change's number if the other one was told, else 0.
local function news(change, request, message, quiet)
  local users = {actor}
  if not quiet and not blocks(other, actor) then
    users[2] = other
  end
  local body = '\151'
    .. cmsgpack.pack(2, change, other, actor, tonumber(at), tonumber(request), message)
  local id = tell_change(body, users, false, {}, seconds, node, origin)
  return users[2] and id or 0
end

local function befriend(most)
  if redis.call('HLEN', P .. 'fr:' .. actor) >= most then
    return 'you-have-enough'
  end
  if redis.call('HLEN', P .. 'fr:' .. other) >= most then
    return 'other-has-enough'
  end
  local asked = open_request(other, actor)
  close_request(other, actor, asked)
  redis.call('HSET', P .. 'fr:' .. actor, other, at)
  redis.call('HSET', P .. 'fr:' .. other, actor, at)
  news('friend_accepted', asked, '')
  return {'friends', 0, other}
end
