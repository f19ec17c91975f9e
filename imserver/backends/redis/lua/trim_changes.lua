-- Moves the first change kept on to the first one that is still there. Needs lists.lua.

local first, last = math.max(log_number('cfloor'), 1), log_number('change')
local low, high = first, last + 1
while low < high do
  local middle = math.floor((low + high) / 2)
  if redis.call('EXISTS', P .. 'c:' .. string.format('%d', middle)) == 1 then
    high = middle
  else
    low = middle + 1
  end
end
redis.call('HSET', P .. 'log', 'cfloor', low)
redis.call('ZREMRANGEBYSCORE', P .. 'ch', '-inf', low - 1)
return low
