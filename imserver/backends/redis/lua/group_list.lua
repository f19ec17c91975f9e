-- Groups after an id, in byte order. Needs lists.lua, groups.lua.

local after, limit = ARGV[1], tonumber(ARGV[2])
local from = after == '' and '-' or '(' .. after
local found = redis.call('ZRANGEBYLEX', P .. 'groups', from, '+', 'LIMIT', 0, limit)
local rows = {}
for index = 1, #found do
  rows[index] = group_summary(found[index])
end
return rows
