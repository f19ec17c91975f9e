-- Conversations of two: their keys and their names.

-- Whether a comes before b, or is b, byte by byte; `<` would ask the locale.
local function in_order(a, b)
  for index = 1, math.min(#a, #b) do
    local x, y = a:byte(index), b:byte(index)
    if x ~= y then
      return x < y
    end
  end
  return #a <= #b
end

local function pair_of(one, other)
  if in_order(one, other) then
    return one .. '/' .. other
  end
  return other .. '/' .. one
end

local function other_in(pair, user)
  local slash = string.find(pair, '/', 1, true)
  local first, second = string.sub(pair, 1, slash - 1), string.sub(pair, slash + 1)
  if first == user then
    return second
  end
  return first
end

local function single_name(one, other)
  if in_order(one, other) then
    return 'single_' .. one .. '_' .. other
  end
  return 'single_' .. other .. '_' .. one
end

local function has_account(user)
  return redis.call('EXISTS', P .. 'u:' .. user) == 1
end
