-- Shows committed states of one partition. Every key shares the partition's hash tag.
--
-- KEYS[1]   meta: epoch, changelog (how much the view has), b:<bucket> (fields that bucket must have),
--           gathered (the apply under way, by name, and which of its pieces are in)
-- KEYS[i]   the buckets of the items, each once
-- ARGV      after, epoch, changelog, the name of the apply ('' where it is one piece), which piece
--           this is, of how many, then for each item: index into KEYS, field, state
--
-- Answers {'ok'}, {'old'} (the view has more already), {'fenced', its epoch} or {'lost', what it
-- still has}. The last piece of an apply moves the position, if all others are in: a view that began
-- anew, or a replica that knew less and is the primary now, lacks some, and the whole apply comes
-- again. May be repeated: a field only ever goes forward, and the counts grow only by what was not
-- there. Numbers are offsets and epochs below 2^53.
local has = redis.call('HMGET', KEYS[1], 'epoch', 'changelog', 'gathered')
local after, epoch, changelog = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local name, piece, pieces = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local has_epoch, has_changelog = tonumber(has[1] or 0), tonumber(has[2] or 0)
if has_epoch > epoch then return {'fenced', tostring(has[1])} end
if has_changelog > changelog then return {'old'} end
if not has[2] or has_changelog < after then return {'lost', tostring(has[2] or 0)} end

local gathered = has[3] or ''
if string.sub(gathered, 1, #name) ~= name then gathered = name .. string.rep('-', pieces - 1) end
local is_last = piece == pieces
if is_last and name ~= '' and string.find(gathered, '-', #name + 1, true) then
  return {'lost', tostring(has[2])}
end

local grown = {}
local stamp = struct.pack('>I8', changelog)
for at = 7, #ARGV, 3 do
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
if is_last then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'changelog', ARGV[3])
  if has[3] then redis.call('HDEL', KEYS[1], 'gathered') end
  return {'ok'}
end
local before, beyond = string.sub(gathered, 1, #name + piece - 1), string.sub(gathered, #name + piece + 1)
redis.call('HSET', KEYS[1], 'gathered', before .. '+' .. beyond)
if has_epoch < epoch then redis.call('HSET', KEYS[1], 'epoch', ARGV[2]) end
return {'ok'}
