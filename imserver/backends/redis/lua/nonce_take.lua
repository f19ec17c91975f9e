-- Uses a nonce under a key. Answers 1, 0 if it was used before, or a word that says why not.
--
-- since: from when on nonces are known, as the node was told.

local kid, nonce, since = ARGV[1], ARGV[2], ARGV[3]
local slot, slots, most = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
if redis.call('HGET', P .. 'nonces', 'since') ~= since then
  return 'moved'
end
local newest = math.floor(redis.call('TIME')[1] / slot)
for at = newest - slots + 1, newest do
  if redis.call('SISMEMBER', P .. 'no:' .. at .. ':' .. kid, nonce) == 1 then
    return 0
  end
end
local key = P .. 'no:' .. newest .. ':' .. kid
if redis.call('SCARD', key) >= most then
  return 'full'
end
redis.call('SADD', key, nonce)
redis.call('EXPIRE', key, slot * (slots + 1))
return 1
