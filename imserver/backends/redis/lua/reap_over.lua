-- Nothing is left of a lost node. Answers whether that is true.

local node = ARGV[1]
if redis.call('EXISTS', P .. 'ns:' .. node, P .. 'nu:' .. node, P .. 'told:' .. node) > 0 then
  return 0
end
redis.call('SREM', P .. 'dead', node)
return 1
