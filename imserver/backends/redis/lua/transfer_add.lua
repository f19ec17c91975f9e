-- Keeps a new transfer, in the state "open". Needs transfers.lua.
-- Answers it, or the older one of the same owner, format and client id, or the quota that is used up.
-- After the first eleven arguments come so many quotas as the eleventh says (none, or four), then fields.

local id, file, owner, format, client, recipient, group, size, at, expires = unpack(ARGV, 1, 10)
local limits = tonumber(ARGV[11])
local own = format .. '\0' .. client
if client ~= '' then
  local older = redis.call('HGET', P .. 'trc:' .. owner, own)
  if older then
    return transfer_row(older)
  end
end
if limits > 0 then
  local most_open, most_files, most_bytes, most = unpack(ARGV, 12, 15)
  local open, files, bytes = unpack(redis.call('HMGET', P .. 'tra:' .. owner, 'open', 'files', 'bytes'))
  if (tonumber(open) or 0) >= tonumber(most_open) then
    return 'open'
  elseif (tonumber(files) or 0) >= tonumber(most_files) then
    return 'files'
  elseif (tonumber(bytes) or 0) + size > tonumber(most_bytes) then
    return 'bytes'
  elseif most ~= '0' and (tonumber(redis.call('HGET', P .. 'log', 'trb')) or 0) + size > tonumber(most) then
    return 'total'
  end
end
local no = redis.call('HINCRBY', P .. 'log', 'tr', 1)
redis.call('HSET', P .. 'tr:' .. no, 'no', no, 'id', id, 'file', file, 'owner', owner, 'format', format,
  'client', client, 'recipient', recipient, 'group', group, 'size', size, 'at', at, 'expires', expires,
  'state', 'open', 'message', '', unpack(ARGV, 12 + limits))
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
