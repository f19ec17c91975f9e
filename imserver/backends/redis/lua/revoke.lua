-- Takes a message back. Needs lists.lua, pairs.lua, targets.lua, inboxes.lua, denotes.lua, feed.lua,
-- changes.lua. Answers [time of the revoke in words, whether it is new], or a word that says why not.

local asker, id = ARGV[1], ARGV[2]
local no, ms, part = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local kind, target, name = ARGV[6], ARGV[7], ARGV[8]
local now, window, seconds = ARGV[9], tonumber(ARGV[10]), tonumber(ARGV[11])
local node, origin = ARGV[12], ARGV[13]

if not has_account(asker) then
  return 'no-message'
end
local m, stored = message_with_id(no, ms, part)
if not m or not went_to(asker, m) then
  return 'no-message'
end
local position, called, sender, recipient, group, renamed = m[4], m[5], m[6], m[7], m[8], m[9]
if name ~= '' and not denotes(asker, kind, target, name, m) then
  return 'no-message'
end
if sender ~= asker and (group == '' or redis.call('HGET', P .. 'g:' .. group, 'owner') ~= asker) then
  return 'not-yours'
end
if m[10] ~= '' then
  return {string.format('%.17g', m[11]), 0}
end
if tonumber(now) - ms / 1000 > window then
  return 'too-old'
end

-- The body without its content: no bytes, no entries.
local _, body = unpacked(stored)
local _, client, form, number, sent_at = cmsgpack.unpack_limit(stored, 4, body + 1)
stored = '\156'
  .. cmsgpack.pack(no, ms, part, position, called, sender, recipient, group, renamed, asker, tonumber(now))
  .. '\152' .. cmsgpack.pack(client, form, number, sent_at) .. '\196\0\128\196\0\196\0'
redis.call('HSET', bucket_of(no), no, stored)

local users, everybody = {}, false
if recipient ~= '' then
  users[1] = sender
  if recipient ~= sender then
    users[2] = recipient
  end
elseif group ~= '' then
  users = redis.call('ZRANGE', P .. 'gm:' .. group, 0, -1)
  if not is_member(group, asker) then
    users[#users + 1] = asker
  end
else
  everybody = true
  users = redis.call('ZRANGE', P .. 'users', 0, -1)
  for _, step in ipairs(redis.call('LRANGE', P .. 'bf:' .. no, 0, -1)) do
    local copy = tonumber(string.sub(step, string.find(step, '\0', 1, true) + 1))
    if message_at(copy) then
      redis.call('HSET', bucket_of(copy), copy, stored)
    end
  end
end
local change = '\152\0' .. cmsgpack.pack(false, {id}, called, canonical_of(m), asker, tonumber(now), renamed)
tell_change(change, users, everybody, renamed, seconds, node, origin)
return {now, 1}
