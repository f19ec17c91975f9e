-- A user's transfers with numbers under one, newest first. Needs transfers.lua.

local user, before, limit = unpack(ARGV)
return transfer_rows(redis.call('ZREVRANGEBYSCORE', P .. 'tru:' .. user, '(' .. before, '-inf', 'LIMIT', 0, limit))
