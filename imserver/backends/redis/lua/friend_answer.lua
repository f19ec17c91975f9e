-- Accepts or rejects a request. Needs friends.lua and what that needs.
-- More arguments: number of the request, 0 = whichever is open with `other`; whether it is
-- accepted; most friends.

local request, accepted, most = tonumber(ARGV[7]), ARGV[8] == '1', tonumber(ARGV[9])
if request ~= 0 then
  local who = redis.call('HMGET', P .. 'fq:' .. ARGV[7], 'asker', 'asked')
  if who[2] ~= actor or (other ~= '' and other ~= who[1]) then
    return 'no-request'
  end
  other = who[1]
end
if not has_account(actor) or not has_account(other) then
  return 'no-user'
end
if accepted and blocks(actor, other) then
  return 'blocks'
end
if accepted and request == 0 and are_friends() then
  return {'friends', 0, other}
end
local asked = open_request(other, actor)
if not asked or (request ~= 0 and tonumber(asked) ~= request) then
  return 'no-request'
end
if accepted then
  return befriend(most)
end
close_request(other, actor, asked)
news('friend_rejected', asked, '')
return {'none', 0, other}
