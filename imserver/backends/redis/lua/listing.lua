-- A user's conversations. Needs lists.lua, pairs.lua.
-- Answers for each one: peer, group, title, position after which the user sees it, newest position,
-- newest message's number (0 = there is none).

local user = ARGV[1]
local answer = {}

local function add(peer, group, title, joined, list)
  local base = trimmed(list)
  answer[#answer + 1] = peer
  answer[#answer + 1] = group
  answer[#answer + 1] = title
  answer[#answer + 1] = joined
  answer[#answer + 1] = redis.call('LLEN', P .. list) + base
  answer[#answer + 1] = tonumber(redis.call('LINDEX', P .. list, -1)) or 0
end

local peers = redis.call('SMEMBERS', P .. 'pt:' .. user)
for index = 1, #peers do
  add(peers[index], '', peers[index], 0, 'cv:' .. pair_of(user, peers[index]))
end
local groups = redis.call('SMEMBERS', P .. 'ug:' .. user)
for index = 1, #groups do
  local group = groups[index]
  local intervals = redis.call('HGET', P .. 'iv:' .. group, user) or ''
  local title = redis.call('HGET', P .. 'g:' .. group, 'name') or group
  add('', group, title, tonumber(string.match(intervals, '(%d+)%-$')) or 0, 'gv:' .. group)
end
return answer
