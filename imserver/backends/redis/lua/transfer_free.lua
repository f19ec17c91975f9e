-- The sender's own id of a transfer may be used again. Needs transfers.lua.

local no = redis.call('HGET', P .. 'tri', ARGV[1])
if no then
  local owner, format, client = unpack(redis.call('HMGET', P .. 'tr:' .. no, 'owner', 'format', 'client'))
  redis.call('HSET', P .. 'tr:' .. no, 'client', '')
  if client ~= '' then
    redis.call('HDEL', P .. 'trc:' .. owner, format .. '\0' .. client)
  end
end
return 1
