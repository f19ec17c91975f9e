-- Moves the floor: messages of hours before `hour` go. Needs lists.lua.
-- Answers [the floor, first bucket that may hold messages].

local hour = tonumber(ARGV[1])
local floor = math.max(log_number('floor'), 1)
local hours = redis.call('HGETALL', P .. 'hours')
local kept -- the first number of the first hour that is kept
for index = 1, #hours, 2 do
  if tonumber(hours[index]) >= hour then
    local first = tonumber(hours[index + 1])
    if not kept or first < kept then
      kept = first
    end
  end
end
-- The newest message always stays: the numbers go on from it.
kept = math.min(kept or log_number('no'), math.max(log_number('no'), 1))
-- A broadcast that is still being fanned out stays, too.
for _, no in ipairs(redis.call('HKEYS', P .. 'bc')) do
  kept = math.min(kept, tonumber(no))
end
if kept > floor then
  floor = kept
  redis.call('HSET', P .. 'log', 'floor', floor)
  for index = 1, #hours, 2 do
    if tonumber(hours[index]) < hour then
      redis.call('HDEL', P .. 'hours', hours[index])
    end
  end
end
return {floor, log_number('swept')}
