-- A user's contacts have been told of a rank. Needs nodes.lua, attend.lua.

local user, rank = ARGV[1], tonumber(ARGV[2])
if rank == 0 then
  redis.call('HDEL', P .. 'shown', user)
else
  redis.call('HSET', P .. 'shown', user, rank)
end
settle(user)
