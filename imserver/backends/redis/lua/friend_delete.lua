-- Ends a friendship, or takes the actor's request back. Needs friends.lua and what that needs.

if not has_account(actor) or not has_account(other) then
  return 'no-user'
end
local asked = open_request(actor, other)
if redis.call('HDEL', P .. 'fr:' .. actor, other) == 1 then
  redis.call('HDEL', P .. 'fr:' .. other, actor)
  news('friend_deleted', 0, '')
elseif asked then
  close_request(actor, other, asked)
  news('friend_withdrawn', asked, '')
end
return {'none', 0, other}
