-- A device's cursors; makes it if it is new. Needs lists.lua.
-- Answers [acknowledged, last change told, whether it is new].

local user, format, device = ARGV[1], ARGV[2], ARGV[3]
local now, most = tonumber(ARGV[4]), tonumber(ARGV[5])
local change = log_number('change')
if redis.call('EXISTS', P .. 'u:' .. user) == 0 then
  return {0, change, 1}
end
local key, name = P .. 'dv:' .. user, format .. '\0' .. device
local known = redis.call('HGET', key, name)
if known then
  local acked, told = cmsgpack.unpack(known)
  redis.call('HSET', key, name, cmsgpack.pack(acked, told, now))
  return {acked, told, 0}
end

local all = redis.call('HGETALL', key)
local furthest, alike, oldest, since, count = 0, 0, nil, nil, #all / 2
for index = 1, #all, 2 do
  local acked, told, touched = cmsgpack.unpack(all[index + 1])
  furthest = math.max(furthest, acked)
  if string.sub(all[index], 1, #format + 1) == format .. '\0' then
    alike = math.max(alike, told)
  end
  if not since or touched < since then
    oldest, since = all[index], touched
  end
end
if count >= most then
  redis.call('HDEL', key, oldest)
end

-- It has nothing that could be taken back. But its user may not have heard of missed calls and
-- requests of would-be friends: not if no device of the same format has been told (other formats
-- may have no words for them).
for _, waiting in ipairs({P .. 'mc:' .. user, P .. 'rq:' .. user}) do
  local from, offset = '(' .. alike, 0
  repeat
    local first = redis.call('ZRANGEBYSCORE', waiting, from, '+inf', 'WITHSCORES', 'LIMIT', offset, 1)
    offset = offset + 1
    local id = tonumber(first[2])
    if id and redis.call('EXISTS', P .. 'c:' .. string.format('%d', id)) == 1 then
      change = math.min(change, id - 1)
      first = {}
    end
  until #first == 0
end
redis.call('HSET', key, name, cmsgpack.pack(furthest, change, now))
return {furthest, change, 1}
