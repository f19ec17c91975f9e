-- A node has reached a Redis. Was anything lost since a node was here last?
-- Answers [epoch, whether this is new], or nothing: what is here is not whole.
--
-- run: this Redis process; sure: whether it loses nothing that was acknowledged when it ends.
-- no, ms, part: the last message this node saw, 0 = it saw none. mine: the epoch in which it was.
-- fresh: a name for a new epoch, of which all nodes are told.
-- copied: another Redis process may be another Redis, which had only what it was sent in time.

local run, sure = ARGV[1], ARGV[2] == '1'
local no, ms, part = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local mine, fresh, copied = ARGV[6], ARGV[7], ARGV[8] == '1'

if redis.call('EXISTS', P .. 'migrating') == 1 then
  return false
end
local known = redis.call('HMGET', P .. 'epoch', 'name', 'run')
local lost = not known[1]
if known[2] ~= run then
  -- Ids given from now on differ from all that may have been given and lost.
  local last = tonumber(redis.call('HGET', P .. 'log', 'part')) or 0
  redis.call('HSET', P .. 'log', 'part', known[2] and (last + 1) % 65536 or last)
  redis.call('HSET', P .. 'epoch', 'run', run)
  -- Who saw nothing cannot tell.
  lost = lost or copied or (no == 0 and not sure)
end
-- Where an epoch has begun meanwhile, whatever is missing was missed already.
if no > 0 and mine == known[1] and no >= log_number('floor') then
  local stored = message_at(no)
  local m = stored and unpacked(stored)
  if not m or m[2] ~= ms or m[3] ~= part then
    lost = true
  end
end
if lost then
  redis.call('HSET', P .. 'epoch', 'name', fresh)
  redis.call('PUBLISH', C .. 'epoch', fresh)
  return {fresh, 1}
end
return {known[1], 0}
