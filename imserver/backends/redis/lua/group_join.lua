-- A user becomes a member, and an invitation is spent. Needs lists.lua, pairs.lua, groups.lua.
-- Answers whether that is new, or a word that says why not.

local group, user, at, most = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if not has_group(group) then
  return 'no-group'
end
if not has_account(user) then
  return 'no-user'
end
if redis.call('ZSCORE', P .. 'gm:' .. group, user) then
  return 0
end
if redis.call('ZCARD', P .. 'gm:' .. group) >= most then
  return 'full'
end
local standing = redis.call('HINCRBY', P .. 'g:' .. group, 'standing', 1)
redis.call('ZADD', P .. 'gm:' .. group, standing, user)
redis.call('HSET', P .. 'gj:' .. group, user, at)
redis.call('SREM', P .. 'gi:' .. group, user)
redis.call('SADD', P .. 'ug:' .. user, group)
begin_interval(group, user, head_of('gv:' .. group))
return 1
