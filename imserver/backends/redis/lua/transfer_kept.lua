-- Which hashes stored transfers have, or which ids open ones. Needs transfers.lua.
-- Arguments: "hashes" or "parts", then those.

local kept = {}
for index = 2, #ARGV do
  local one, is_kept = ARGV[index], false
  if ARGV[1] == 'hashes' then
    is_kept = redis.call('EXISTS', P .. 'trh:' .. one) == 1
  else
    local no = redis.call('HGET', P .. 'tri', one)
    is_kept = no and redis.call('HGET', P .. 'tr:' .. no, 'state') == 'open'
  end
  if is_kept then
    kept[#kept + 1] = one
  end
end
return kept
