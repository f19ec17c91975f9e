-- A request that is done once. Needs nodes.lua.
-- Answers 'go' to who is to do it, 'running' if somebody does it, 'other' if another one bore this
-- id, or ['done', answer].

local key, id, digest, node, seconds = P .. 'ra:' .. ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local known = redis.call('HGET', key, id)
if known then
  local first, owner, answer = unpack(cmsgpack.unpack(known))
  if first ~= digest then
    return 'other'
  end
  if answer then
    return {'done', answer}
  end
  if is_live(owner) then
    return 'running'
  end
end
redis.call('HSET', key, id, cmsgpack.pack({digest, node}))
redis.call('EXPIRE', key, seconds)
return 'go'
