-- Frees up to so many slots of a node that is lost; answers how many it found.

local node = ARGV[1]
local slots = redis.call('SPOP', P .. 'ns:' .. node, ARGV[2])
for index = 1, #slots do
  local key = P .. 'sl:' .. slots[index]
  local known = redis.call('GET', key)
  if known and string.match(known, '^(%Z*)%z') == node then
    redis.call('DEL', key)
  end
end
return #slots
