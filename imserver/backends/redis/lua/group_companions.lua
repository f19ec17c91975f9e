-- Who is in those groups of a user (ARGV[1]) that have at most ARGV[2] members; each once, in no order.

local found = redis.call('SMEMBERS', P .. 'ug:' .. ARGV[1])
local seen, names = {}, {}
for index = 1, #found do
  local members = P .. 'gm:' .. found[index]
  if redis.call('ZCARD', members) <= tonumber(ARGV[2]) then
    for _, name in ipairs(redis.call('ZRANGE', members, 0, -1)) do
      if not seen[name] then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
end
return names
