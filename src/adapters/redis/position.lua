-- Says how much the view has of one partition, before its owner shows it what it lacks.
--
-- KEYS[1]   meta, as apply.lua keeps it
-- KEYS[i]   every bucket of the partition
--
-- Where there is no meta, whatever the buckets still hold is counted by nobody: it goes, and the
-- view begins anew. Answers {epoch, changelog}.
local has = redis.call('HMGET', KEYS[1], 'epoch', 'changelog')
if not has[2] then
  for at = 2, #KEYS, 500 do
    redis.call('UNLINK', unpack(KEYS, at, math.min(at + 499, #KEYS)))
  end
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'epoch', '0', 'changelog', '0')
end
return {tostring(has[1] or 0), tostring(has[2] or 0)}
