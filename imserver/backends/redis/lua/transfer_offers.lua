-- What a user has neither fetched nor rejected, oldest first. Needs transfers.lua.

local user, limit = ARGV[1], tonumber(ARGV[2])
local found = {}

local function look_at(no, blocked)
  local delivery = redis.call('HGET', P .. 'trd:' .. no, user)
  if delivery == 'rejected' or delivery == 'delivered' then
    return
  end
  local owner = redis.call('HGET', P .. 'tr:' .. no, 'owner')
  if owner == user or (blocked and redis.call('HEXISTS', P .. 'bl:' .. user, owner) == 1) then
    return
  end
  found[#found + 1] = tonumber(no)
end

for _, no in ipairs(redis.call('ZRANGE', P .. 'tro:' .. user, 0, -1)) do
  if #found == limit then
    break
  end
  look_at(no, true)
end
for _, group in ipairs(redis.call('SMEMBERS', P .. 'ug:' .. user)) do
  local joined = redis.call('HGET', P .. 'gj:' .. group, user)
  for _, no in ipairs(redis.call('ZRANGEBYSCORE', P .. 'trg:' .. group, joined, '+inf')) do
    look_at(no, false)
  end
end
table.sort(found)
local numbers = {}
for index = 1, math.min(limit, #found) do
  numbers[index] = string.format('%d', found[index])
end
return transfer_rows(numbers)
