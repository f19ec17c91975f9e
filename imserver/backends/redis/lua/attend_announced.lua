-- A user's contacts have been told of a rank by a node; 'lost' if it is none any more, whom nobody hears.
-- Needs nodes.lua, attend.lua.

local node, user, rank = ARGV[1], ARGV[2], tonumber(ARGV[3])
if not is_live(node) then
  return 'lost'
end
if rank == 0 then
  redis.call('HDEL', P .. 'shown', user)
else
  redis.call('HSET', P .. 'shown', user, rank)
end
-- Whom it told of more than a minute ago is known by now, or never will be.
local told, time = P .. 'told:' .. node, now()
redis.call('ZREMRANGEBYSCORE', told, '-inf', string.format('%.3f', time - 60))
redis.call('ZADD', told, string.format('%.3f', time), user)
redis.call('EXPIRE', told, 3600) -- a node of an older version clears away without it
settle(user)
