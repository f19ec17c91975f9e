-- An invitation. Needs lists.lua, pairs.lua, groups.lua. Answers '' or a word that says why not.

local group, user = ARGV[1], ARGV[2]
if not has_group(group) then
  return 'no-group'
end
if not has_account(user) then
  return 'no-user'
end
redis.call('SADD', P .. 'gi:' .. group, user)
return ''
