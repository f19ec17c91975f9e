-- Exchanges the refresh token of a log-in, if it is the current one and not revoked.
-- Answers its fields and values, or nothing.

local sid, refresh, following, digest, at, expires, life, over = unpack(ARGV)
local key = P .. 'sid:' .. sid
local known = redis.call('HMGET', key, 'refresh_id', 'revoked', 'user')
if known[1] ~= refresh or known[2] ~= '0' then
  return false
end
redis.call('HSET', key, 'previous_id', refresh, 'refresh_id', following, 'request_digest', digest,
  'rotated_at', at, 'expires_at', expires)
redis.call('PEXPIRE', key, life)
local all = P .. 'us:' .. known[3]
redis.call('ZADD', all, over, sid)
if redis.call('PTTL', all) < tonumber(life) then
  redis.call('PEXPIRE', all, life)
end
return redis.call('HGETALL', key)
