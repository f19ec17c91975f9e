-- Whether a message went to a user's inbox. Needs lists.lua, pairs.lua.

-- The copy of a broadcast that a user's inbox points to, nil if the user was not reached.
-- "upto\0copy" ascends with the users, who are in byte order.
local function copy_for(no, user)
  local key = P .. 'bf:' .. no
  local low, high = 0, redis.call('LLEN', key)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local step = redis.call('LINDEX', key, middle)
    if in_order(user, string.sub(step, 1, string.find(step, '\0', 1, true) - 1)) then
      high = middle
    else
      low = middle + 1
    end
  end
  local step = redis.call('LINDEX', key, low)
  if not step then
    return nil
  end
  return tonumber(string.sub(step, string.find(step, '\0', 1, true) + 1))
end

-- The number of a message in a user's inbox, 0 if it is not in it. `m`: the message, unpacked.
local function number_for(user, m)
  local no = m[1]
  local found = number_in('ib:' .. user, no)
  if found == 0 and m[7] == '' and m[8] == '' then
    local copy = copy_for(no, user)
    if copy then
      found = number_in('ib:' .. user, copy)
    end
  end
  return found
end

-- Whether a message went to a user's inbox.
local function went_to(user, m)
  if m[7] ~= '' then
    return user == m[6] or user == m[7]
  end
  return number_for(user, m) > 0
end

-- The message with this id, unpacked, and its bytes; or nil.
local function message_with_id(no, ms, part)
  if no < 1 then
    return nil
  end
  local stored = message_at(no)
  if not stored then
    return nil
  end
  local m = unpacked(stored)
  if m[1] ~= no or m[2] ~= ms or m[3] ~= part then
    return nil
  end
  return m, stored
end
