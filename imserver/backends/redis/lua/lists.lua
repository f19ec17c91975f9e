-- Lists of message numbers: inboxes ("ib:<user>") and conversations ("cv:<a>/<b>", "gv:<group>").
-- What is at index i of a list has the number base + i + 1, base being how many were trimmed.

local BUCKET = 128

local function log_number(field)
  return tonumber(redis.call('HGET', P .. 'log', field)) or 0
end

local function base_of(list)
  return tonumber(redis.call('HGET', P .. 'base', list)) or 0
end

-- The newest number of a list; 0 for one that never was.
local function head_of(list)
  return redis.call('LLEN', P .. list) + base_of(list)
end

local function bucket_of(no)
  return P .. 'm:' .. math.floor(no / BUCKET)
end

-- The message as it is stored (see appends.lua), false if it is gone.
local function message_at(no)
  return redis.call('HGET', bucket_of(no), no)
end

-- A stored message as a table (fields: append.lua), and where in it the body begins, which may
-- have things in it that cmsgpack does not know.
local function unpacked(stored)
  local m = {cmsgpack.unpack_limit(stored, 11, 1)}
  local body = table.remove(m, 1)
  return m, body
end

-- How many of a list's rows, which ascend, are below a number.
local function count_below(list, no)
  local low, high = 0, redis.call('LLEN', P .. list)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if tonumber(redis.call('LINDEX', P .. list, middle)) < no then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

-- The number a message has in a list, 0 if it is not in it.
local function number_in(list, no)
  local index = count_below(list, no)
  if tonumber(redis.call('LINDEX', P .. list, index)) == no then
    return base_of(list) + index + 1
  end
  return 0
end

-- Takes out of a list what retention took out of the log; returns how many were trimmed ever.
local function trimmed(list)
  local base = base_of(list)
  local floor = log_number('floor')
  if floor > 1 then
    local first = tonumber(redis.call('LINDEX', P .. list, 0))
    if first and first < floor then
      local gone = count_below(list, floor)
      redis.call('LTRIM', P .. list, gone, -1)
      base = base + gone
      redis.call('HSET', P .. 'base', list, base)
    end
  end
  return base
end

-- Adds (number, message) of the numbers first..last to `rows`, until there are `limit` of them or
-- their bytes are more than `bytes`. Returns what is left of both, and whether there was more.
local function read_rows(list, base, first, last, limit, bytes, rows)
  while first <= last do
    local upto = math.min(last, first + 63)
    local found = redis.call('LRANGE', P .. list, first - base - 1, upto - base - 1)
    for index = 1, #found do
      if limit <= 0 or bytes < 0 then
        return limit, bytes, true
      end
      local message = message_at(tonumber(found[index]))
      if message then
        rows[#rows + 1] = first + index - 1
        rows[#rows + 1] = message
        limit = limit - 1
        bytes = bytes - #message
      end
    end
    first = upto + 1
  end
  return limit, bytes, false
end
