-- Takes a slot for a live node. Needs nodes.lua. Answers the value that has it, or 'lost' in a list.

local slot, node, value = ARGV[1], ARGV[2], ARGV[3]
local key = P .. 'sl:' .. slot
local known = redis.call('GET', key)
if known then
  local owner, held = string.match(known, '^(%Z*)%z(.*)$')
  if is_live(owner) then
    return held
  end
end
if not is_live(node) then
  return {'lost'}
end
redis.call('SET', key, node .. '\0' .. value)
redis.call('SADD', P .. 'ns:' .. node, slot)
return value
