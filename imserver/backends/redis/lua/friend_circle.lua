-- [friends, those the user has blocked, those who have blocked the user, those with whom there is a single
-- conversation, the user as well]

local user = ARGV[1]
return {
  redis.call('HKEYS', P .. 'fr:' .. user),
  redis.call('HKEYS', P .. 'bl:' .. user),
  redis.call('SMEMBERS', P .. 'bb:' .. user),
  redis.call('SMEMBERS', P .. 'pt:' .. user),
}
