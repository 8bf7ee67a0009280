-- Shows committed states of one partition. Every key shares the partition's hash tag.
--
-- KEYS[1]   meta: epoch, changelog (how much the view has), b:<bucket> (fields that bucket must have),
--           gathered (the apply under way, by name, and which of its pieces are in)
-- KEYS[i]   the buckets of the items, each once
-- ARGV      after, epoch, changelog, the name of the apply ('' where it is one piece), which piece
--           this is, of how many, then for each item: index into KEYS, field, state; those of one
--           bucket stand together, and are asked for and written with one command
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

local stamp = struct.pack('>I8', changelog)
local at = 7
while at <= #ARGV do
  local index, fields, states = ARGV[at], {}, {}
  while ARGV[at] == index do
    fields[#fields + 1], states[#states + 1] = ARGV[at + 1], ARGV[at + 2]
    at = at + 3
  end
  local bucket, newer, grown = KEYS[tonumber(index)], {}, 0
  for i, stands in ipairs(redis.call('HMGET', bucket, unpack(fields))) do
    if not stands then grown = grown + 1 end
    if not stands or struct.unpack('>I8', stands) <= changelog then
      newer[#newer + 1], newer[#newer + 2] = fields[i], stamp .. states[i]
    end
  end
  if #newer > 0 then redis.call('HSET', bucket, unpack(newer)) end
  if grown > 0 then
    redis.call('HINCRBY', KEYS[1], 'b:' .. string.match(bucket, '[^:]+$'), grown)
  end
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
