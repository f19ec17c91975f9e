-- Users whose rank has not been what was announced last for so many seconds. Needs nodes.lua.

return redis.call('ZRANGEBYSCORE', P .. 'late', '-inf', string.format('%.3f', now() - ARGV[1]), 'LIMIT', 0, ARGV[2])
