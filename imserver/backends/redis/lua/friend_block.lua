-- Blocks or unblocks. Needs friends.lua and what that needs.
-- More arguments: whether it is a block; most blocks.

local blocked, most = ARGV[7] == '1', tonumber(ARGV[8])
if not has_account(actor) or not has_account(other) then
  return 'no-user'
end
if blocked ~= blocks(actor, other) then
  if blocked then
    if redis.call('HLEN', P .. 'bl:' .. actor) >= most then
      return 'too-many-blocked'
    end
    redis.call('HSET', P .. 'bl:' .. actor, other, at)
    redis.call('SADD', P .. 'bb:' .. other, actor)
    redis.call('HSET', P .. 'u:' .. actor, 'blk', 1)
    news('user_blocked', 0, '', true)
  else
    redis.call('HDEL', P .. 'bl:' .. actor, other)
    redis.call('SREM', P .. 'bb:' .. other, actor)
    if redis.call('HLEN', P .. 'bl:' .. actor) == 0 then
      redis.call('HDEL', P .. 'u:' .. actor, 'blk')
    end
    news('user_unblocked', 0, '', true)
  end
end
if blocked then
  return {'blocked', 0, other}
end
if are_friends() then
  return {'friends', 0, other}
end
local asked = open_request(actor, other)
return {asked and 'requested' or 'none', tonumber(asked or 0), other}
