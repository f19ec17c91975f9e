-- Takes down what is true of a user on a node: rank, then (session, media, device) ...
-- Needs nodes.lua, attend.lua.
-- With a limit > 0 it answers the sessions beyond it, the oldest over all nodes, as
-- [node, session, media, device], ...; 'lost' if the node is none any more.

local node, user, rank, limit = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local key = P .. 'at:' .. user
if not is_live(node) then
  return 'lost'
end
if #ARGV == 4 then
  redis.call('HDEL', key, node)
  redis.call('SREM', P .. 'nu:' .. node, user)
  list_hosts(user)
  settle(user)
  return {}
end
local since = {}
local before = redis.call('HGET', key, node)
if before then
  before = cmsgpack.unpack(before)
  for index = 2, #before do
    since[before[index][1]] = before[index][2]
  end
end
local record = {rank}
local time = now()
for index = 5, #ARGV, 3 do
  local session = ARGV[index]
  record[#record + 1] = {session, since[session] or time, ARGV[index + 1], ARGV[index + 2]}
end
redis.call('HSET', key, node, cmsgpack.pack(record))
if not before then
  redis.call('SADD', P .. 'nu:' .. node, user)
  list_hosts(user)
end
settle(user)
if limit == 0 then
  return {}
end

local all, found = redis.call('HGETALL', key), {}
for index = 1, #all, 2 do
  local there = cmsgpack.unpack(all[index + 1])
  for at = 2, #there do
    local one = there[at]
    found[#found + 1] = {all[index], one[1], one[3], one[4], one[2]}
  end
end
if #found <= limit then
  return {}
end
table.sort(found, function(a, b)
  if a[5] ~= b[5] then
    return a[5] < b[5]
  end
  return a[2] < b[2]
end)
local beyond = {}
for index = 1, #found - limit do
  local one = found[index]
  beyond[index] = {one[1], one[2], one[3], one[4]}
end
return beyond
