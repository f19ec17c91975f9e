-- What all scripts about transfers of files share.

local FIELDS = {
  'no', 'id', 'file', 'owner', 'format', 'client', 'name', 'size', 'sha256', 'kind', 'recipient', 'group',
  'conversation', 'state', 'at', 'expires', 'message',
}

local function transfer_row(no)
  return redis.call('HMGET', P .. 'tr:' .. no, unpack(FIELDS))
end

local function transfer_rows(numbers)
  local rows = {}
  for index = 1, #numbers do
    rows[index] = transfer_row(numbers[index])
  end
  return rows
end

local function is_alive(state)
  return state == 'open' or state == 'stored'
end

-- What the owner's transfers, and all of them, take. `files` and `open` are added, `sign` is "" or "-".
local function count(owner, open, files, sign, size)
  redis.call('HINCRBY', P .. 'tra:' .. owner, 'open', open)
  redis.call('HINCRBY', P .. 'tra:' .. owner, 'files', files)
  redis.call('HINCRBY', P .. 'tra:' .. owner, 'bytes', sign .. size)
  redis.call('HINCRBY', P .. 'log', 'trb', sign .. size)
end

-- An open or stored one is so no more.
local function end_transfer(no, state)
  local key = P .. 'tr:' .. no
  local was, owner, recipient, group, size, sha256, expires = unpack(redis.call('HMGET', key,
    'state', 'owner', 'recipient', 'group', 'size', 'sha256', 'expires'))
  redis.call('HSET', key, 'state', state)
  redis.call('ZREM', P .. 'tre', no)
  redis.call('ZADD', P .. 'trz', expires, no)
  redis.call('ZREM', P .. 'trm', no)
  if recipient ~= '' then
    redis.call('ZREM', P .. 'tro:' .. recipient, no)
  elseif group ~= '' then
    redis.call('ZREM', P .. 'trg:' .. group, no)
  end
  if was == 'stored' then
    redis.call('SREM', P .. 'trh:' .. sha256, no)
  end
  count(owner, was == 'open' and -1 or 0, -1, '-', size)
end
