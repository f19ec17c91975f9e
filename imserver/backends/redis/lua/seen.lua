-- Remembers when users were seen last, given as user, time, ...; never goes back.

local key = P .. 'seen'
for index = 1, #ARGV, 2 do
  local before = tonumber(redis.call('HGET', key, ARGV[index]))
  if not before or before < tonumber(ARGV[index + 1]) then
    redis.call('HSET', key, ARGV[index], ARGV[index + 1])
  end
end
