-- What came of a request: an answer, or '' = it was refused, or cannot be kept.
-- The oldest answers make room: `most` of one peer, and `bytes` of them together.

local peer, id, digest, node, answer = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local seconds, most, bytes = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[8])
local key, order = P .. 'ra:' .. peer, P .. 'rz:' .. peer
local known = redis.call('HGET', key, id)
if not known then
  return
end
local first, owner, done = unpack(cmsgpack.unpack(known))
if first ~= digest or owner ~= node or done then
  return
end
if answer == '' then
  redis.call('HDEL', key, id)
  return
end
redis.call('HSET', key, id, cmsgpack.pack({digest, node, answer}))
local time = redis.call('TIME')
redis.call('ZADD', order, time[1] + time[2] / 1000000, id)
local total = redis.call('HINCRBY', key, '', #answer)
while total > bytes or redis.call('ZCARD', order) > most do
  local oldest = redis.call('ZRANGE', order, 0, 0)[1]
  local stored = redis.call('HGET', key, oldest)
  redis.call('ZREM', order, oldest)
  if stored then
    total = redis.call('HINCRBY', key, '', -#(cmsgpack.unpack(stored)[3]))
    redis.call('HDEL', key, oldest)
  end
end
redis.call('EXPIRE', key, seconds)
redis.call('EXPIRE', order, seconds)
