-- [highest number, first kept number] of an inbox. Needs lists.lua.

local list = 'ib:' .. ARGV[1]
local base = trimmed(list)
return {redis.call('LLEN', P .. list) + base, base + 1}
