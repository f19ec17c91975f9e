-- Changes fields of an account, given as field, value, ...; its generation grows.
-- Answers [hash, role, off, at, gen], or nothing if there is no such account.

local key = P .. 'u:' .. ARGV[1]
if redis.call('EXISTS', key) == 0 then
  return false
end
for index = 2, #ARGV, 2 do
  redis.call('HSET', key, ARGV[index], ARGV[index + 1])
end
redis.call('HINCRBY', key, 'gen', 1)
return redis.call('HMGET', key, 'hash', 'role', 'off', 'at', 'gen')
