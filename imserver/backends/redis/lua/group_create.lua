-- A new group; the first of the members is its owner. Needs lists.lua, pairs.lua, groups.lua.
-- Answers the group, or a word that says why not.

local group, name, open, hash, at, encrypted, most = unpack(ARGV, 1, 7)
local members = {}
for index = 8, #ARGV do
  members[index - 7] = ARGV[index]
end
for index = 1, #members do
  if not has_account(members[index]) then
    return 'no-user'
  end
end
if #members > tonumber(most) then
  return 'full'
end
if redis.call('SADD', P .. 'gx', group) == 0 then
  return 'taken'
end
redis.call('HSET', P .. 'g:' .. group,
  'name', name, 'owner', members[1], 'open', open, 'hash', hash, 'at', at, 'enc', encrypted,
  'standing', #members)
redis.call('ZADD', P .. 'groups', 0, group)
for index = 1, #members do
  redis.call('ZADD', P .. 'gm:' .. group, index, members[index])
  redis.call('HSET', P .. 'gj:' .. group, members[index], at)
  redis.call('SADD', P .. 'ug:' .. members[index], group)
  begin_interval(group, members[index], 0)
end
return group_record(group)
