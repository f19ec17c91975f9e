-- Moves a device's cursors on, never back. Needs lists.lua, pairs.lua, inboxes.lua.
-- A message may be named by its id instead of its number.

local user, format, device = ARGV[1], ARGV[2], ARGV[3]
local seq, told = tonumber(ARGV[4]), tonumber(ARGV[5])
local no, ms, part = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local key, name = P .. 'dv:' .. user, format .. '\0' .. device
local known = redis.call('HGET', key, name)
if not known then
  return 0
end
local acked, changed, touched = cmsgpack.unpack(known)
if no > 0 then
  local m = message_with_id(no, ms, part)
  seq = m and number_for(user, m) or 0
end
if seq > head_of('ib:' .. user) then
  seq = 0
end
if told > log_number('change') then
  told = 0
end
if seq > acked or told > changed then
  redis.call('HSET', key, name, cmsgpack.pack(math.max(seq, acked), math.max(told, changed), touched))
end
return 1
