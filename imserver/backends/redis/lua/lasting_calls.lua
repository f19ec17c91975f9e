-- The records of a lost node's calls that have not ended. Needs nodes.lua.
-- Only here it is certain that a node is lost: whoever asks may not have heard yet that it takes part.

local node, alone = ARGV[1], ARGV[2] == '1'
local answer = {}
if not alone and is_live(node) then
  return answer
end
for _, no in ipairs(redis.call('SMEMBERS', P .. 'oc:' .. node)) do
  local stored = redis.call('GET', P .. 'call:' .. no)
  if stored then
    local _, _, _, _, _, record = cmsgpack.unpack(stored)
    answer[#answer + 1] = record
  end
end
if #answer == 0 then
  -- It gave signs of life for calls that others have ended.
  redis.call('HDEL', P .. 'oca', node)
end
return answer
