-- [friends, those the user has blocked, those who have blocked the user]

local user = ARGV[1]
return {
  redis.call('HKEYS', P .. 'fr:' .. user),
  redis.call('HKEYS', P .. 'bl:' .. user),
  redis.call('SMEMBERS', P .. 'bb:' .. user),
}
