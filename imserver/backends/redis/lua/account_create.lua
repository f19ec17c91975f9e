-- A new account. Answers whether the name was free.

local user, hash, role, off, at, gen = unpack(ARGV)
local key = P .. 'u:' .. user
if redis.call('EXISTS', key) == 1 then
  return 0
end
redis.call('HSET', key, 'gen', gen, 'hash', hash, 'role', role, 'off', off, 'at', at)
redis.call('ZADD', P .. 'users', 0, user)
return 1
