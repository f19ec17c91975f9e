-- A page of a user's calls, newest first. Answers [number, record, ...].

local user, before, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local numbers = redis.call('ZREVRANGEBYSCORE', P .. 'cl:' .. user, '(' .. before, '-inf', 'LIMIT', 0, limit)
local answer = {}
for index = 1, #numbers do
  local stored = redis.call('GET', P .. 'call:' .. numbers[index])
  if stored then
    local _, _, _, _, _, record = cmsgpack.unpack(stored)
    answer[#answer + 1] = tonumber(numbers[index])
    answer[#answer + 1] = record
  end
end
return answer
