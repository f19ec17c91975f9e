-- Whatever a lost node said last may not have got anywhere: up to so many of the users it told of in the
-- minute before it told of the last one count as users of whom nothing was told. Needs nodes.lua, attend.lua. Answers these users.

local node = ARGV[1]
local popped, users = redis.call('ZPOPMIN', P .. 'told:' .. node, ARGV[2]), {}
for index = 1, #popped, 2 do
  local user = popped[index]
  users[#users + 1] = user
  redis.call('HSET', P .. 'shown', user, -1)
  settle(user)
end
return users
