-- Reads states of one partition together with how much the view has of it.
--
-- KEYS[1]   meta, as apply.lua keeps it
-- KEYS[i]   the buckets of the fields, each once
-- ARGV      for each field: index into KEYS, field
--
-- Answers {epoch, changelog, then a state or nil for each field}. A bucket that has not as many
-- fields as it was given has lost some: it is emptied and the view goes back to its beginning, so
-- that its owner shows it everything again. Until then it answers from 0, and nobody believes it.
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'changelog')
if not meta[2] then
  -- Whoever takes the partition over clears what the buckets hold. A meta made here would hide it.
  local nothing = {'0', '0'}
  for at = 1, #ARGV, 2 do nothing[#nothing + 1] = false end
  return nothing
end
for at = 2, #KEYS do
  local counted = 'b:' .. string.match(KEYS[at], '[^:]+$')
  local must = tonumber(redis.call('HGET', KEYS[1], counted) or 0)
  if redis.call('HLEN', KEYS[at]) ~= must then
    redis.call('UNLINK', KEYS[at])
    redis.call('HDEL', KEYS[1], counted, 'gathered')
    redis.call('HSET', KEYS[1], 'changelog', '0')
    meta[2] = '0'
  end
end
local answer = {tostring(meta[1] or 0), tostring(meta[2] or 0)}
for at = 1, #ARGV, 2 do
  local stands = redis.call('HGET', KEYS[tonumber(ARGV[at])], ARGV[at + 1])
  answer[#answer + 1] = stands and string.sub(stands, 9)
end
return answer
