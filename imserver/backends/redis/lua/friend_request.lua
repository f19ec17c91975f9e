-- Asks, or accepts what the other one asked. Needs friends.lua and what that needs.
-- More arguments: message, most friends, most sent, most received.

local message, most, most_sent, most_received = ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
if not has_account(actor) or not has_account(other) then
  return 'no-user'
end
if blocks(actor, other) then
  return 'blocks'
end
if are_friends() then
  return {'friends', 0, other}
end
if open_request(other, actor) then
  return befriend(most)
end
local asked = open_request(actor, other)
if asked then
  return {'requested', tonumber(asked), other}
end
if redis.call('HLEN', P .. 'fs:' .. actor) >= most_sent then
  return 'too-many-sent'
end
if redis.call('ZCARD', P .. 'rq:' .. other) >= most_received then
  return 'too-many-received'
end
local no = redis.call('INCR', P .. 'fq')
redis.call('HSET', P .. 'fq:' .. no, 'asker', actor, 'asked', other, 'message', message, 'at', at)
redis.call('HSET', P .. 'fs:' .. actor, other, no)
redis.call('ZADD', P .. 'rq:' .. other, news('friend_request', no, message), actor)
return {'requested', no, other}
