-- Ends transfers whose time is over; answers them as they were. Needs transfers.lua.

local now, limit = unpack(ARGV)
local due = redis.call('ZRANGEBYSCORE', P .. 'tre', '-inf', now, 'LIMIT', 0, limit)
local rows = transfer_rows(due)
for index = 1, #due do
  end_transfer(due[index], 'expired')
end
return rows
