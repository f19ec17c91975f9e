-- Deletes messages below the floor, some buckets at a time. Needs lists.lua. Answers whether there is more.

local most = tonumber(ARGV[1])
local floor, bucket = log_number('floor'), log_number('swept')
local last = math.floor(floor / BUCKET)
while bucket < last and most > 0 do
  redis.call('UNLINK', P .. 'm:' .. bucket)
  bucket = bucket + 1
  most = most - 1
end
redis.call('HSET', P .. 'log', 'swept', bucket)
if bucket < last then
  return 1
end
-- The floor's own bucket: numbers of it that are below.
for no = bucket * BUCKET, floor - 1 do
  redis.call('HDEL', P .. 'm:' .. bucket, no)
end
for _, no in ipairs(redis.call('ZRANGEBYSCORE', P .. 'bs', '-inf', '(' .. floor)) do
  redis.call('DEL', P .. 'bf:' .. no)
end
redis.call('ZREMRANGEBYSCORE', P .. 'bs', '-inf', '(' .. floor)
return 0
