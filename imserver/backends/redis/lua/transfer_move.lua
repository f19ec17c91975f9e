-- Compares and swaps the state of a transfer. Needs transfers.lua.
-- Answers whether it was in the state it was to be in.

local id, before, after, sha256, message = unpack(ARGV)
local no = redis.call('HGET', P .. 'tri', id)
if not no or redis.call('HGET', P .. 'tr:' .. no, 'state') ~= before then
  return 0
end
local key = P .. 'tr:' .. no
if sha256 ~= '' then
  redis.call('HSET', key, 'sha256', sha256)
end
if message ~= '' then
  redis.call('HSET', key, 'message', message)
  redis.call('ZREM', P .. 'trm', no)
end
if after == before then
  return 1
end
if not is_alive(after) then
  end_transfer(no, after)
  return 1
end
redis.call('HSET', key, 'state', after)
local owner, recipient, group, hash, told = unpack(
  redis.call('HMGET', key, 'owner', 'recipient', 'group', 'sha256', 'message'))
redis.call('SADD', P .. 'trh:' .. hash, no)
redis.call('HINCRBY', P .. 'tra:' .. owner, 'open', -1)
if told == '' and (recipient ~= '' or group ~= '') then
  redis.call('ZADD', P .. 'trm', no, no)
end
return 1
