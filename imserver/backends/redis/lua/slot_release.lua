-- Frees slots, given as slot, value, ..., where the value has them.

for index = 1, #ARGV, 2 do
  local key = P .. 'sl:' .. ARGV[index]
  local known = redis.call('GET', key)
  if known then
    local owner, held = string.match(known, '^(%Z*)%z(.*)$')
    if held == ARGV[index + 1] then
      redis.call('DEL', key)
      redis.call('SREM', P .. 'ns:' .. owner, ARGV[index])
    end
  end
end
