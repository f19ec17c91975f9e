-- The end of a group. Needs lists.lua, groups.lua. Answers it as it was, or a word that says why not.

local group = ARGV[1]
if not has_group(group) then
  return 'no-group'
end
local record = group_record(group)
end_group(group, head_of('gv:' .. group))
return record
