-- A user's friends, open requests and blocks: [friends], [received], [sent], [blocked]; friends and
-- blocked as name, time, ..., requests as [number, name, [message, time]]. Needs pairs.lua.

local user = ARGV[1]
if not has_account(user) then
  return 'no-user'
end
local received, sent = {}, {}
local askers = redis.call('ZRANGE', P .. 'rq:' .. user, 0, -1)
for index = 1, #askers do
  local no = redis.call('HGET', P .. 'fs:' .. askers[index], user)
  received[index] = {no, askers[index], redis.call('HMGET', P .. 'fq:' .. no, 'message', 'at')}
end
local asked = redis.call('HGETALL', P .. 'fs:' .. user)
for index = 1, #asked, 2 do
  local no = asked[index + 1]
  sent[#sent + 1] = {no, asked[index], redis.call('HMGET', P .. 'fq:' .. no, 'message', 'at')}
end
return {redis.call('HGETALL', P .. 'fr:' .. user), received, sent, redis.call('HGETALL', P .. 'bl:' .. user)}
