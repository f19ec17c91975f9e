-- A membership ends; the owner's goes to the member of longest standing, the last one's ends the
-- group. Needs lists.lua, groups.lua.
-- Answers the group as it is now, nothing if it is none any more, or a word that says why not.

local group, user = ARGV[1], ARGV[2]
if not has_group(group) then
  return 'no-group'
end
if redis.call('ZREM', P .. 'gm:' .. group, user) == 0 then
  return 'no-member'
end
local head = head_of('gv:' .. group)
redis.call('HDEL', P .. 'gj:' .. group, user)
redis.call('SREM', P .. 'ug:' .. user, group)
end_interval(group, user, head)
local first = redis.call('ZRANGE', P .. 'gm:' .. group, 0, 0)[1]
if not first then
  end_group(group, head)
  return false
end
if redis.call('HGET', P .. 'g:' .. group, 'owner') == user then
  redis.call('HSET', P .. 'g:' .. group, 'owner', first)
end
return group_record(group)
