-- Tells senders that their messages were read. Needs lists.lua, pairs.lua, targets.lua, inboxes.lua,
-- denotes.lua, feed.lua, changes.lua. Answers 'done', or a word that says why not.

local reader, kind, target, name = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local now, seconds, node, origin = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], ARGV[8]

if not has_account(reader) then
  return 'no-message'
end
local found = {}
for index = 9, #ARGV, 4 do
  local m = message_with_id(tonumber(ARGV[index + 1]), tonumber(ARGV[index + 2]), tonumber(ARGV[index + 3]))
  if not m then
    return 'no-message'
  end
  if not went_to(reader, m) then
    return 'foreign'
  end
  m.id = ARGV[index]
  found[#found + 1] = m
end
if name ~= '' then
  local seen = {}
  for _, m in ipairs(found) do
    local canonical = canonical_of(m)
    if not seen[canonical] then
      seen[canonical] = true
      if not denotes(reader, kind, target, name, m) then
        return 'elsewhere'
      end
    end
  end
end

local receipts, order = {}, {}
for _, m in ipairs(found) do
  if m[6] ~= reader then
    local key = canonical_of(m) .. '\0' .. m[6]
    if not receipts[key] then
      receipts[key] = {ids = {}, renamed = {}, known = {}}
      order[#order + 1] = key
    end
    local receipt = receipts[key]
    receipt.last = m
    receipt.ids[#receipt.ids + 1] = m.id
    for _, user in ipairs(m[9]) do
      if not receipt.known[user] then
        receipt.known[user] = true
        receipt.renamed[#receipt.renamed + 1] = user
      end
    end
  end
end
for _, key in ipairs(order) do
  local receipt = receipts[key]
  local m = receipt.last
  local change = '\152\0'
    .. cmsgpack.pack(true, receipt.ids, m[5], canonical_of(m), reader, now, receipt.renamed)
  tell_change(change, {m[6], reader}, false, receipt.renamed, seconds, node, origin)
end
return 'done'
