-- What scripts about nodes share.
--
-- A node's identity is its name, ":" and how often it has joined; no identity is used twice.

local function is_live(node)
  return redis.call('HEXISTS', P .. 'nodes', node) == 1
end

local function name_of(node)
  return string.match(node, '^[^:]*')
end

local function now()
  local time = redis.call('TIME')
  return time[1] + time[2] / 1000000
end
