-- A user's rank, and the one that was announced last. Needs nodes.lua, attend.lua.

return {rank_of(ARGV[1]), shown_of(ARGV[1])}
