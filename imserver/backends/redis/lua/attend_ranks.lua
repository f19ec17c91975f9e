-- The ranks of users over all nodes. Needs nodes.lua, attend.lua.

local ranks = {}
for index = 1, #ARGV do
  ranks[index] = rank_of(ARGV[index])
end
return ranks
