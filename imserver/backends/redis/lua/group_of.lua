-- The groups of a user, in no order. Needs lists.lua, groups.lua.

local found = redis.call('SMEMBERS', P .. 'ug:' .. ARGV[1])
local rows = {}
for index = 1, #found do
  rows[index] = group_summary(found[index])
end
return rows
