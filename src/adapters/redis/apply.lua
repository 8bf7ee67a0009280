-- Shows committed states of one partition. Every key shares the partition's hash tag.
--
-- KEYS[1]   meta: epoch, changelog (how much the view has), b:<bucket> (fields that bucket must have),
--           life (another one each time that it begins anew)
-- KEYS[i]   the buckets of the items, each once
-- ARGV      after, epoch, changelog, 1 if this is the last piece of its apply, the life that all
--           pieces of it are for ('' where it is the only one), then for each item: index into KEYS,
--           field, state
--
-- Answers {'ok'}, {'old'} (the view has more already), {'fenced', its epoch} or {'lost', what it
-- still has}. May be repeated: a field only ever goes forward, and the counts grow only by what was
-- not there. Numbers are offsets and epochs below 2^53.
local has = redis.call('HMGET', KEYS[1], 'epoch', 'changelog', 'life')
local after, epoch, changelog = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local has_epoch, has_changelog = tonumber(has[1] or 0), tonumber(has[2] or 0)
if has_epoch > epoch then return {'fenced', tostring(has[1])} end
if has_changelog > changelog then return {'old'} end
local other_life = ARGV[5] ~= '' and ARGV[5] ~= (has[3] or '0')
if not has[2] or has_changelog < after or other_life then return {'lost', tostring(has[2] or 0)} end

local grown = {}
local stamp = struct.pack('>I8', changelog)
for at = 6, #ARGV, 3 do
  local bucket, field = KEYS[tonumber(ARGV[at])], ARGV[at + 1]
  local stands = redis.call('HGET', bucket, field)
  if not stands then
    redis.call('HSET', bucket, field, stamp .. ARGV[at + 2])
    grown[bucket] = (grown[bucket] or 0) + 1
  elseif struct.unpack('>I8', stands) <= changelog then
    redis.call('HSET', bucket, field, stamp .. ARGV[at + 2])
  end
end
for bucket, by in pairs(grown) do
  redis.call('HINCRBY', KEYS[1], 'b:' .. string.match(bucket, '[^:]+$'), by)
end
if ARGV[4] == '1' then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'changelog', ARGV[3])
elseif has_epoch < epoch then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2])
end
return {'ok'}
