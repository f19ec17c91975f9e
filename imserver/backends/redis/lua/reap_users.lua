-- Nobody is connected to a lost node: takes up to so many of its users off it, who were seen last
-- now. Needs nodes.lua, attend.lua. Answers these users.

local node, time = ARGV[1], string.format('%.3f', now())
local users = redis.call('SPOP', P .. 'nu:' .. node, ARGV[2])
for index = 1, #users do
  local user = users[index]
  local there = redis.call('HGET', P .. 'at:' .. user, node)
  if there then
    if cmsgpack.unpack(there)[1] > 0 then
      redis.call('HSET', P .. 'seen', user, time)
    end
    redis.call('HDEL', P .. 'at:' .. user, node)
    list_hosts(user)
    settle(user)
  end
end
return users
