-- Resolves a target without creating anything. Needs pairs.lua, targets.lua.
-- Answers [peer, group, whether the name is the asker's own, members...], or a word that says why not.

local asker, kind, target = ARGV[1], ARGV[2], ARGV[3]
if not has_account(asker) then
  return 'no-sender'
end
local peer, group, fault, own = resolve(asker, kind, target)
if fault then
  return fault
end
local answer = {peer or '', group or '', own and 1 or 0}
local members = {asker}
if group then
  members = redis.call('ZRANGE', P .. 'gm:' .. group, 0, -1)
elseif peer ~= asker then
  members[2] = peer
end
for index = 1, #members do
  answer[#answer + 1] = members[index]
end
return answer
