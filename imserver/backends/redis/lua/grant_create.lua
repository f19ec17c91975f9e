-- A new log-in. It is forgotten `life` milliseconds from now; those of the user that are over at
-- `now` are forgotten, too.

local sid, user, expires, life, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key, all = P .. 'sid:' .. sid, P .. 'us:' .. user
redis.call('HSET', key, unpack(ARGV, 6))
redis.call('PEXPIRE', key, life)
redis.call('ZREMRANGEBYSCORE', all, '-inf', '(' .. now)
redis.call('ZADD', all, expires, sid)
if redis.call('PTTL', all) < tonumber(life) then
  redis.call('PEXPIRE', all, life)
end
