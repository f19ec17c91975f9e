-- Takes out of lists what is below the floor. Needs lists.lua. The lists are named without the prefix.

for index = 1, #ARGV do
  trimmed(ARGV[index])
end
return #ARGV
