-- Revokes a user's log-ins: one, or with '' all. Answers those that were live.

local user, sid = ARGV[1], ARGV[2]
local sids = {sid}
if sid == '' then
  sids = redis.call('ZRANGE', P .. 'us:' .. user, 0, -1)
end
local live = {}
for index = 1, #sids do
  local key = P .. 'sid:' .. sids[index]
  local known = redis.call('HMGET', key, 'user', 'revoked')
  if known[1] == user and known[2] == '0' then
    redis.call('HSET', key, 'revoked', '1')
    live[#live + 1] = sids[index]
  end
end
return live
