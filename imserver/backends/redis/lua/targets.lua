-- Which conversation does a command mean? CONTRACT.md "Conversations". Needs pairs.lua.
--
-- A target is given as a kind and a value:
--   'u'  a recipient
--   'g'  a group
--   's'  the halves, joined by '/', that a canonical name may have beside the asker
--   'n'  a name of the asker's own, or a bare group id

-- The pairs a user knows by a name, as one table.
local function pairs_named(user, name)
  local found = {}
  local known = redis.call('HGET', P .. 'an:' .. user, name)
  if known then
    for pair in string.gmatch(known, '[^\n]+') do
      found[#found + 1] = pair
    end
  end
  return found
end

local function is_member(group, user)
  return redis.call('ZSCORE', P .. 'gm:' .. group, user)
end

-- Returns the other user, or nil and the group, or nil, nil and why there is none; with 'n' the
-- fourth value tells that the name is the asker's own.
local function resolve(asker, kind, value)
  if kind == 'u' then
    if has_account(value) then
      return value, nil, nil, false
    end
    return nil, nil, 'no-recipient', false
  end
  if kind == 'g' then
    if is_member(value, asker) then
      return nil, value, nil, false
    end
    if redis.call('EXISTS', P .. 'g:' .. value) == 1 then
      return nil, nil, 'no-member', false
    end
    return nil, nil, 'no-group', false
  end
  if kind == 's' then
    local peers = {}
    for peer in string.gmatch(value, '[^/]+') do
      if has_account(peer) then
        peers[#peers + 1] = peer
      end
    end
    if #peers > 1 then
      local existing = {}
      for index = 1, #peers do
        if redis.call('SISMEMBER', P .. 'pt:' .. asker, peers[index]) == 1 then
          existing[#existing + 1] = peers[index]
        end
      end
      if #existing ~= 1 then
        return nil, nil, 'two-readings', false
      end
      return existing[1], nil, nil, false
    end
    if #peers == 0 then
      return nil, nil, 'no-conversation', false
    end
    return peers[1], nil, nil, false
  end
  local known = pairs_named(asker, value)
  local group = is_member(value, asker)
  if #known + (group and 1 or 0) > 1 then
    return nil, nil, 'several', false
  end
  if group then
    return nil, value, nil, false
  end
  if #known == 0 then
    return nil, nil, 'no-conversation', false
  end
  return other_in(known[1], asker), nil, nil, true
end
