-- What scripts about attendance share. Needs nodes.lua.
--
-- What is true of a user on a node is stored as [rank, [session, since, media, device], ...]

-- Brings the list of nodes that are told what concerns a user up to date.
local function list_hosts(user)
  local nodes = redis.call('HKEYS', P .. 'at:' .. user)
  local names, known = {}, {}
  for index = 1, #nodes do
    local name = name_of(nodes[index])
    if not known[name] then
      known[name] = true
      names[#names + 1] = name
    end
  end
  if #names == 0 then
    redis.call('HDEL', P .. 'hosts', user)
  else
    redis.call('HSET', P .. 'hosts', user, table.concat(names, ' '))
  end
end

local function rank_of(user)
  local best = 0
  local all = redis.call('HVALS', P .. 'at:' .. user)
  for index = 1, #all do
    best = math.max(best, cmsgpack.unpack(all[index])[1])
  end
  return best
end

local function shown_of(user)
  return tonumber(redis.call('HGET', P .. 'shown', user) or 0)
end

-- Keeps in mind since when a user's rank is not what was announced last, so that somebody will tell.
local function settle(user)
  if rank_of(user) == shown_of(user) then
    redis.call('ZREM', P .. 'late', user)
  else
    redis.call('ZADD', P .. 'late', 'NX', string.format('%.3f', now()), user)
  end
end
