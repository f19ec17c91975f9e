-- The records of a node's calls that have not ended.

local answer = {}
for _, no in ipairs(redis.call('SMEMBERS', P .. 'oc:' .. ARGV[1])) do
  local stored = redis.call('GET', P .. 'call:' .. no)
  if stored then
    local _, _, _, _, _, record = cmsgpack.unpack(stored)
    answer[#answer + 1] = record
  end
end
return answer
