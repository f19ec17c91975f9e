-- Keeps a new transfer, in the state "open". Needs transfers.lua.
-- Answers it, or the older one of the same owner, format and client id.

local id, file, owner, format, client, recipient, group, size, at, expires = unpack(ARGV, 1, 10)
local own = format .. '\0' .. client
if client ~= '' then
  local older = redis.call('HGET', P .. 'trc:' .. owner, own)
  if older then
    return transfer_row(older)
  end
end
local no = redis.call('HINCRBY', P .. 'log', 'tr', 1)
redis.call('HSET', P .. 'tr:' .. no, 'no', no, 'id', id, 'file', file, 'owner', owner, 'format', format,
  'client', client, 'recipient', recipient, 'group', group, 'size', size, 'at', at, 'expires', expires,
  'state', 'open', 'message', '', unpack(ARGV, 11))
redis.call('HSET', P .. 'tri', id, no)
redis.call('HSET', P .. 'trf', file, no)
if client ~= '' then
  redis.call('HSET', P .. 'trc:' .. owner, own, no)
end
redis.call('ZADD', P .. 'tru:' .. owner, no, no)
if recipient ~= '' then
  redis.call('ZADD', P .. 'tru:' .. recipient, no, no)
  redis.call('ZADD', P .. 'tro:' .. recipient, no, no)
elseif group ~= '' then
  redis.call('ZADD', P .. 'trg:' .. group, at, no)
end
redis.call('ZADD', P .. 'tre', expires, no)
count(owner, 1, 1, '', size)
return transfer_row(no)
