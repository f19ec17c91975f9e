-- A group, or nothing. Needs lists.lua, groups.lua.

return has_group(ARGV[1]) and group_record(ARGV[1])
