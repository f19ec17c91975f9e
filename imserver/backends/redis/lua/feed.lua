-- The feed: what is committed is told to the nodes that have sessions of those concerned, once a node.

-- Which of the users have sessions on which nodes: node -> indexes into `users`.
local function hosting(users)
  local found = {}
  for from = 1, #users, 1000 do
    local upto = math.min(from + 999, #users)
    local names = redis.call('HMGET', P .. 'hosts', unpack(users, from, upto))
    for index = 1, #names do
      if names[index] then
        for node in string.gmatch(names[index], '%S+') do
          local there = found[node]
          if not there then
            there = {}
            found[node] = there
          end
          there[#there + 1] = from + index - 1
        end
      end
    end
  end
  return found
end

local function only(values, indexes)
  local found = {}
  for index = 1, #indexes do
    found[index] = values[indexes[index]]
  end
  return found
end

-- Tells of a message in inboxes. `node` and `origin`: where it was sent, and by which session.
-- That node hears of every inbox, and of the session; the others of their own users' inboxes.
local function tell_entry(users, seqs, node, origin, message)
  local tail = cmsgpack.pack(origin) .. message
  redis.call('PUBLISH', C .. 'feed:' .. node, '\149\0' .. cmsgpack.pack(users, seqs) .. tail)
  tail = '\160' .. message
  for other, indexes in pairs(hosting(users)) do
    if other ~= node then
      local told, numbers = users, seqs
      if #indexes < #users then
        told, numbers = only(users, indexes), only(seqs, indexes)
      end
      redis.call('PUBLISH', C .. 'feed:' .. other, '\149\0' .. cmsgpack.pack(told, numbers) .. tail)
    end
  end
end
