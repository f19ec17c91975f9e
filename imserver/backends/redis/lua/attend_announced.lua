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
redis.call('ZADD', P .. 'told:' .. node, forget_told(node), user)
settle(user)
