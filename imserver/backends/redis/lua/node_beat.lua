-- A sign of life. Needs nodes.lua.
-- Answers [node, number of its beats, ...], [those that are lost and not cleared away], [those that are
-- to be home to nothing new]; or 'lost'.

local node, joins, retired = ARGV[1], ARGV[2] == '1', ARGV[3] == '1'
if joins then
  if redis.call('SISMEMBER', P .. 'dead', node) == 1 then
    return 'lost'
  end
elseif not is_live(node) then
  return 'lost'
end
redis.call('HINCRBY', P .. 'nodes', node, 1)
local news = joins
if retired and redis.call('SADD', P .. 'retired', node) == 1 then
  news = true
end
if news then
  redis.call('PUBLISH', C .. 'nodes', node)
end
return {
  redis.call('HGETALL', P .. 'nodes'),
  redis.call('SMEMBERS', P .. 'dead'),
  redis.call('SMEMBERS', P .. 'retired'),
}
