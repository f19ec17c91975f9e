-- Messages by their numbers; nil where there is none. Needs lists.lua.

local found = {}
for index = 1, #ARGV do
  found[index] = message_at(tonumber(ARGV[index]))
end
return found
