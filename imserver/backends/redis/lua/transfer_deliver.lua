-- Remembers where a recipient of a transfer is. Needs transfers.lua.
-- Answers whether that is new.

local no, user, delivery = unpack(ARGV)
local before = redis.call('HGET', P .. 'trd:' .. no, user)
if before == 'delivered' or before == delivery then
  return 0
end
redis.call('HSET', P .. 'trd:' .. no, user, delivery)
local recipient, state = unpack(redis.call('HMGET', P .. 'tr:' .. no, 'recipient', 'state'))
if recipient == user and is_alive(state) then
  if delivery == 'accepted' then
    redis.call('ZADD', P .. 'tro:' .. user, no, no)
  else
    redis.call('ZREM', P .. 'tro:' .. user, no)
  end
end
return 1
