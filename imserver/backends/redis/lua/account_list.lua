-- Accounts after a name, in byte order: [name, [hash, role, off, at, gen]], ...

local after, limit = ARGV[1], tonumber(ARGV[2])
local from = after == '' and '-' or '(' .. after
local found = redis.call('ZRANGEBYLEX', P .. 'users', from, '+', 'LIMIT', 0, limit)
local rows = {}
for index = 1, #found do
  rows[index] = {found[index], redis.call('HMGET', P .. 'u:' .. found[index], 'hash', 'role', 'off', 'at', 'gen')}
end
return rows
