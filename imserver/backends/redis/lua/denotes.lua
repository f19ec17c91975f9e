-- Whether a name that somebody gave means the conversation of a message. Needs pairs.lua, targets.lua.

local function canonical_of(m)
  if m[8] ~= '' then
    return 'group_' .. m[8]
  elseif m[7] ~= '' then
    return single_name(m[6], m[7])
  end
  return 'broadcast'
end

-- `kind`, `target`: the name as targets.lua takes it. `m`: the message, unpacked.
local function denotes(asker, kind, target, name, m)
  if name == canonical_of(m) or name == m[5] or (m[8] ~= '' and name == m[8]) then
    return true
  end
  local peer = resolve(asker, kind, target)
  return peer and peer ~= asker and (peer == m[6] or peer == m[7])
end
