-- One step of a broadcast: the next users in byte order. Needs lists.lua, feed.lua.
-- Its rows point to a copy of the message with a number of its own, because the numbers in an
-- inbox ascend. Answers whether there is more to do.

local no, limit, node = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local upto = redis.call('HGET', P .. 'bc', no)
if not upto then
  return 0
end
local message = message_at(no)
if not message then
  redis.call('HDEL', P .. 'bc', no)
  return 0
end
local sender = unpacked(message)[6]
local from = upto == '' and '-' or '(' .. upto
local found = redis.call('ZRANGEBYLEX', P .. 'users', from, '+', 'LIMIT', 0, limit)
local users, seqs = {}, {}
for index = 1, #found do
  if found[index] ~= sender then
    users[#users + 1] = found[index]
  end
end
if #users > 0 then
  local copy = redis.call('HINCRBY', P .. 'log', 'no', 1)
  redis.call('HSET', bucket_of(copy), copy, message)
  redis.call('RPUSH', P .. 'bf:' .. no, found[#found] .. '\0' .. copy)
  for index = 1, #users do
    local list = 'ib:' .. users[index]
    seqs[index] = redis.call('RPUSH', P .. list, copy) + base_of(list)
  end
  tell_entry(users, seqs, node, '', message)
end
if #found < limit then
  redis.call('HDEL', P .. 'bc', no)
  return 0
end
redis.call('HSET', P .. 'bc', no, found[#found])
return 1
