-- The log of changes: what devices that are away are told later. Needs feed.lua.
--
-- A change is stored as [kind, fields...]; kinds and fields are in change_log.py.

-- Writes a change and puts it on the feed; returns its number.
--   body: [kind, fields...] in MessagePack
--   users: whom it concerns
--   everybody: whether it is everybody's (then nothing is written for each)
--   renamed: which of the users are written the canonical name
--   seconds: how long it is kept
--   node, origin: where it was done, and by which session
local function tell_change(body, users, everybody, renamed, seconds, node, origin)
  local id = redis.call('HINCRBY', P .. 'log', 'change', 1)
  redis.call('SET', P .. 'c:' .. id, body, 'EX', seconds)
  if everybody then
    redis.call('ZADD', P .. 'ch', id, id)
  else
    local floor = tonumber(redis.call('HGET', P .. 'log', 'cfloor')) or 0
    for index = 1, #users do
      local key = P .. 'ch:' .. users[index]
      redis.call('ZADD', key, id, id)
      redis.call('EXPIRE', key, seconds)
      if floor > 1 then
        redis.call('ZREMRANGEBYSCORE', key, '-inf', floor - 1)
      end
    end
  end
  local tail = cmsgpack.pack(renamed, origin) .. body
  local hosts = hosting(users)
  -- The node hears of its own deeds even where it is taken for lost, and with them of whom it hears
  -- everything: only of these is it certain that nothing before this is missing.
  redis.call('PUBLISH', C .. 'feed:' .. node,
    '\151\1' .. cmsgpack.pack(id, users) .. tail .. cmsgpack.pack(hosts[node] or {}))
  for other, indexes in pairs(hosts) do
    if other ~= node then
      local told = only(users, indexes)
      redis.call('PUBLISH', C .. 'feed:' .. other, '\150\1' .. cmsgpack.pack(id, told) .. tail)
    end
  end
  return id
end
