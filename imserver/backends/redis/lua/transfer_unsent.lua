-- Stored transfers of which no message has told. Needs transfers.lua.

return transfer_rows(redis.call('ZRANGE', P .. 'trm', 0, tonumber(ARGV[1]) - 1))
