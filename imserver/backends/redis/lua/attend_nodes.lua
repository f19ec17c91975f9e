-- On which nodes these users are connected: [node, index, ...] for each, with indexes from 0.

local found, rows = {}, {}
for index = 1, #ARGV do
  local nodes = redis.call('HKEYS', P .. 'at:' .. ARGV[index])
  for at = 1, #nodes do
    local row = found[nodes[at]]
    if not row then
      row = {nodes[at]}
      found[nodes[at]] = row
      rows[#rows + 1] = row
    end
    row[#row + 1] = index - 1
  end
end
return rows
