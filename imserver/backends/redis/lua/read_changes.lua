-- A user's changes after a number, ascending. Needs lists.lua. Answers [number, change, ...].

local user, after, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local numbers = {}
for _, key in ipairs({P .. 'ch:' .. user, P .. 'ch'}) do
  -- Those whose time is over are gone, so more than `limit` are looked at, if need be.
  local from, offset = '(' .. after, 0
  local found = 0
  repeat
    local some = redis.call('ZRANGEBYSCORE', key, from, '+inf', 'LIMIT', offset, limit)
    for index = 1, #some do
      if redis.call('EXISTS', P .. 'c:' .. some[index]) == 1 then
        numbers[#numbers + 1] = tonumber(some[index])
        found = found + 1
      end
    end
    offset = offset + #some
  until #some < limit or found >= limit
end
table.sort(numbers)
local answer = {}
for index = 1, math.min(#numbers, limit) do
  answer[#answer + 1] = numbers[index]
  answer[#answer + 1] = redis.call('GET', P .. 'c:' .. string.format('%d', numbers[index]))
end
return answer
