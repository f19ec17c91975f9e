-- A page of an inbox. Needs lists.lua.
-- Answers [head, first kept number, whether there is more, number, message, number, message, ...].

local list = 'ib:' .. ARGV[1]
local first, limit, bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local base = trimmed(list)
local head = redis.call('LLEN', P .. list) + base
local rows = {head, base + 1, 0}
local _, _, more = read_rows(list, base, math.max(first, base + 1), head, limit, bytes, rows)
rows[3] = more and 1 or 0
return rows
