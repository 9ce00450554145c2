/**
 * What happens inside Redis, as Lua scripts: each runs as one atomic step.
 *
 * A stream's place is one string `epoch offset timeMs incarnation`. The incarnation is the server's `master_replid`: it
 * changes when a server restarts and when a replica is promoted, which is when the last writes may be gone. A place of
 * another incarnation therefore proves nothing: the stream begins a new epoch, and so it does when the place was
 * evicted or cannot be read. Time is the server's, so instances need no common clock.
 */
import { createHash } from 'node:crypto';

export interface Script {
  readonly text: string;
  /** Name of the script for EVALSHA. */
  readonly sha: string;
}

const PLACE = `
local incarnation = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or '-'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function read(key)
  local text = redis.pcall('GET', key)
  if type(text) ~= 'string' then return nil end
  local epoch, offset, ms, written = string.match(text, '^(%S+) (%d+) (%d+) (%S+)$')
  if written ~= incarnation then return nil end
  return epoch, tonumber(offset), tonumber(ms)
end
local function write(key, epoch, offset, ms, idleMs)
  redis.call('SET', key, string.format('%s %.0f %.0f %s', epoch, offset, ms, incarnation), 'PX', idleMs)
end
`;

/** More conversations than this in one stream are forgotten together: what follows in them is looked up once more. */
const MAX_CONVERSATIONS = 20_000;

/**
 * Appends to any number of streams and publishes each.
 *
 * Messages of one conversation are in a stream in the order of their seq, each once: one that is there already is passed
 * over, and before one whose predecessor is not there the rest of that stream is left alone and told.
 *
 * KEYS: place, log, channel and newest seqs of each stream. ARGV: most events, age in ms, idle time in ms, epoch for streams
 * that have none, `1` if the entries may be there already (an append that was not answered), then per stream the number of
 * entries and for each its id, its text, its conversation (empty if it is no message), its seq, and the seq after which nothing
 * is missing (empty: the one before its own). Refused by Redis as a whole before it begins if memory is short.
 *
 * @returns three numbers for each stream that was left: which stream, from which entry on, and the newest seq there (-1: not known).
 */
export const APPEND = script(`#!lua
${PLACE}
local maxEvents, maxAgeMs, idleMs, seed, again = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5] == '1'
local at = 6
local gaps = {}
for k = 1, #KEYS, 4 do
  local place, log, channel, seqs = KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]
  local epoch, offset, ms = read(place)
  if not epoch then
    redis.call('DEL', log, seqs)
    epoch, offset, ms = seed, 0, 0
  end
  if now > ms then ms = now end
  local known = {}
  if again then
    local last = redis.pcall('XREVRANGE', log, '+', '-', 'COUNT', maxEvents)
    for _, entry in ipairs(last.err and {} or last) do known[entry[2][2]] = true end
  end
  local newest, isChanged = {}, {}
  local function newestOf(conversation)
    if newest[conversation] == nil then
      local seq = redis.pcall('HGET', seqs, conversation)
      newest[conversation] = type(seq) == 'string' and tonumber(seq) or -1
    end
    return newest[conversation]
  end
  local texts = { '' }
  local left = false
  for index = 1, tonumber(ARGV[at]) do
    local id, text, conversation = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
    local seq, after = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
    at = at + 5
    local take = not left and not known[id]
    if take and conversation ~= '' then
      local last = newestOf(conversation)
      if seq <= last then
        take = false
      elseif after == nil and seq > 1 and seq ~= last + 1 or after ~= nil and last >= 0 and after > last then
        gaps[#gaps + 1] = (k - 1) / 4
        gaps[#gaps + 1] = index - 1
        gaps[#gaps + 1] = last
        left, take = true, false
      end
    end
    if take then
      offset = offset + 1
      local entryId = string.format('%.0f-%.0f', ms, offset)
      local added = redis.pcall('XADD', log, 'MAXLEN', '~', maxEvents, entryId, 'i', id, 'e', text)
      if added.err then
        redis.call('DEL', log)
        redis.call('XADD', log, entryId, 'i', id, 'e', text)
      end
      texts[#texts + 1] = text
      if conversation ~= '' then
        newest[conversation] = seq
        isChanged[conversation] = true
      end
    end
  end
  at = at + 1
  if next(isChanged) then
    local fields = {}
    for conversation in pairs(isChanged) do
      fields[#fields + 1] = conversation
      fields[#fields + 1] = string.format('%.0f', newest[conversation])
    end
    local added = redis.pcall('HSET', seqs, unpack(fields))
    if type(added) ~= 'number' or added > 0 and redis.call('HLEN', seqs) > ${MAX_CONVERSATIONS} then redis.call('DEL', seqs) end
    redis.call('PEXPIRE', seqs, idleMs)
  end
  if #texts > 1 then
    redis.call('XTRIM', log, 'MINID', '~', string.format('%.0f', now - maxAgeMs))
    redis.call('PEXPIRE', log, maxAgeMs)
    write(place, epoch, offset, ms, idleMs)
    texts[1] = string.format('E%s %.0f', epoch, offset - #texts + 2)
    redis.call('SPUBLISH', channel, table.concat(texts, '\\n'))
  end
end
return gaps
`);

/**
 * History after a position. KEYS: place, log. ARGV: epoch, offset, limit, most events, age in ms.
 *
 * @returns nil if the stream has no epoch; else epoch, offset, 1 if complete, and the texts of the entries.
 */
export const READ = script(`#!lua flags=no-writes
${PLACE}
local epoch, offset = read(KEYS[1])
if not epoch then return false end
local answer = { epoch, offset, 0 }
local missing = offset - tonumber(ARGV[2])
if ARGV[1] ~= epoch or missing < 0 or missing > tonumber(ARGV[3]) or missing > tonumber(ARGV[4]) then return answer end
if missing > 0 then
  local oldest = string.format('%.0f', now - tonumber(ARGV[5]))
  local entries = redis.pcall('XREVRANGE', KEYS[2], '+', oldest, 'COUNT', missing)
  if entries.err or #entries < missing then return answer end
  for index = missing, 1, -1 do
    local wanted = string.format('%.0f', offset - index + 1)
    if string.match(entries[index][1], '-(%d+)$') ~= wanted then return { epoch, offset, 0 } end
    answer[#answer + 1] = entries[index][2][4]
  end
end
answer[3] = 1
return answer
`);

/** Place of a stream, which gets an epoch if it has none. KEYS: place, log, newest seqs. ARGV: epoch if it has none, idle time in ms. */
export const TOP = script(`#!lua flags=allow-oom
${PLACE}
local epoch, offset = read(KEYS[1])
if epoch then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return { epoch, offset }
end
redis.call('DEL', KEYS[2], KEYS[3])
write(KEYS[1], ARGV[1], 0, 0, ARGV[2])
return { ARGV[1], 0 }
`);

/**
 * Begins a new epoch and tells the subscribers. KEYS: place, log, channel, newest seqs. ARGV: new epoch, idle time in ms, the epoch to
 * end (empty = whichever it is; if the stream has gone on to another one, nothing happens).
 */
export const END_EPOCH = script(`#!lua flags=allow-oom
${PLACE}
local epoch = read(KEYS[1])
if ARGV[3] ~= '' and epoch and epoch ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[2], KEYS[4])
write(KEYS[1], ARGV[1], 0, 0, ARGV[2])
redis.call('SPUBLISH', KEYS[3], 'N')
return 1
`);

export const SCRIPTS: readonly Script[] = [APPEND, READ, TOP, END_EPOCH];

function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}
