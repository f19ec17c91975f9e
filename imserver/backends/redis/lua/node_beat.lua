-- A sign of life. Needs nodes.lua.
-- Answers [node, number of its beats, ...], [those that are lost and not cleared away]; or 'lost'.

local node, joins = ARGV[1], ARGV[2] == '1'
if joins then
  if redis.call('SISMEMBER', P .. 'dead', node) == 1 then
    return 'lost'
  end
elseif not is_live(node) then
  return 'lost'
end
redis.call('HINCRBY', P .. 'nodes', node, 1)
if joins then
  redis.call('PUBLISH', C .. 'nodes', node)
end
return {redis.call('HGETALL', P .. 'nodes'), redis.call('SMEMBERS', P .. 'dead')}
