-- A page of a conversation, as far as the asker may see it. Needs lists.lua, pairs.lua, targets.lua.
-- Answers [head, whether there is more, position, message, ...], or a word that says why not.

local asker, kind, target = ARGV[1], ARGV[2], ARGV[3]
local gid, certain = ARGV[4], ARGV[5] == '1'
local after, limit, bytes = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

if not has_account(asker) then
  return 'no-conversation'
end

local list, intervals
-- `gid`: the group that may be meant; `certain`: or else nothing is.
if gid ~= '' and not (kind == 'n' and redis.call('HEXISTS', P .. 'an:' .. asker, target) == 1) then
  intervals = redis.call('HGET', P .. 'iv:' .. gid, asker)
  if intervals then
    list = 'gv:' .. gid
  elseif certain then
    return 'no-conversation'
  end
end
if not list then
  local peer, group, fault = resolve(asker, kind, target)
  if fault then
    return fault
  end
  if peer then
    list = 'cv:' .. pair_of(asker, peer)
    intervals = '0-'
  else
    list = 'gv:' .. group
    intervals = redis.call('HGET', P .. 'iv:' .. group, asker) or ''
  end
end

local base = trimmed(list)
local head = redis.call('LLEN', P .. list) + base
local rows = {head, 0}
for from, upto in string.gmatch(intervals, '(%d+)%-(%d*)') do
  local first = math.max(tonumber(from), after, base) + 1
  local last = math.min(tonumber(upto) or head, head)
  local more
  limit, bytes, more = read_rows(list, base, first, last, limit, bytes, rows)
  if more then
    rows[2] = 1
    break
  end
end
return rows
