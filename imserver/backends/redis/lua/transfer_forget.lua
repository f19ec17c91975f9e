-- Deletes ended transfers that were to expire before a time; answers how many. Needs transfers.lua.

local before, limit = unpack(ARGV)
local due = redis.call('ZRANGEBYSCORE', P .. 'trz', '-inf', before, 'LIMIT', 0, limit)
for index = 1, #due do
  local no = due[index]
  local id, file, owner, format, client, recipient = unpack(redis.call('HMGET', P .. 'tr:' .. no,
    'id', 'file', 'owner', 'format', 'client', 'recipient'))
  redis.call('DEL', P .. 'tr:' .. no, P .. 'trd:' .. no)
  redis.call('ZREM', P .. 'trz', no)
  redis.call('HDEL', P .. 'tri', id)
  redis.call('HDEL', P .. 'trf', file)
  if client ~= '' then
    redis.call('HDEL', P .. 'trc:' .. owner, format .. '\0' .. client)
  end
  redis.call('ZREM', P .. 'tru:' .. owner, no)
  if recipient ~= '' then
    redis.call('ZREM', P .. 'tru:' .. recipient, no)
  end
end
return #due
