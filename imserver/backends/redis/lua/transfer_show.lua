-- A transfer by one of its ids, or nothing. Needs transfers.lua.
-- Arguments: the hash that knows the id; the id.

local no = redis.call('HGET', P .. ARGV[1], ARGV[2])
return no and transfer_row(no)
