-- A node is lost (or leaves, then without a number), unless it has given a sign of life since.
-- Answers whether it was so.

local node, beats = ARGV[1], ARGV[2]
local known = redis.call('HGET', P .. 'nodes', node)
if not known or (beats ~= '' and known ~= beats) then
  return 0
end
if beats == '' then
  -- It has said what it had to say.
  redis.call('DEL', P .. 'told:' .. node)
end
redis.call('HDEL', P .. 'nodes', node)
redis.call('SREM', P .. 'retired', node)
redis.call('SADD', P .. 'dead', node)
redis.call('PUBLISH', C .. 'nodes', node)
return 1
