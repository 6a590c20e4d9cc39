-- Buckets that several processes take from, as llmmw/policies/_buckets.py has them: each is told by
-- the instant at which it is full. KEYS[1] is the account. Numbers come and go as text, whole.
--
--   take    now burst  {name cost}                      1 or 0, now, frozen, {name full}
--   settle  now burst  frozen ago  {name change left}   likewise
--
-- An empty `now` is the server's own time. What is empty of `left` and `frozen` was not told.

local NEVER = -math.huge
local BACK = 60 -- seconds that a clock may be set back, and nothing is forgotten
local account, verb, given, burst = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])

local function text(number)
    return string.format('%.17g', number)
end

local full, frozen, latest = {}, NEVER, NEVER
local row = redis.call('HGETALL', account)
for place = 1, #row, 2 do
    local name, value = row[place], tonumber(row[place + 1])
    if name == '.frozen' then frozen = value
    elseif name == '.latest' then latest = value
    else full[name] = value end
end

local now = tonumber(given)
if not now then
    local time = redis.call('TIME')
    now = tonumber(time[1]) + tonumber(time[2]) / 1e6
end
if now < latest then
    if latest - now < BACK then now = latest
    else full, frozen = {}, NEVER end
end

local names, taken = {}, 1
if verb == 'take' then
    local at = frozen
    for place = 4, #ARGV, 2 do
        local name, cost = ARGV[place], tonumber(ARGV[place + 1])
        names[#names + 1] = name
        if cost > 0 then
            local ready = full[name] or NEVER
            if cost < burst then ready = ready - burst + cost end
            if ready > at then at = ready end
        end
    end
    if at > now then taken = 0 end
    for place = 4, #ARGV, 2 do
        local name, cost = ARGV[place], tonumber(ARGV[place + 1])
        if taken == 1 and cost > 0 then
            full[name] = math.max(full[name] or NEVER, now) + cost
        end
    end
else
    local freeze, ago = tonumber(ARGV[4]), tonumber(ARGV[5])
    for place = 6, #ARGV, 3 do
        local name, change, left = ARGV[place], tonumber(ARGV[place + 1]), tonumber(ARGV[place + 2])
        names[#names + 1] = name
        local instant = full[name] or NEVER
        if change > 0 then instant = math.max(instant, now) end
        if change ~= 0 then instant = instant + change end
        if left then instant = math.max(instant, now - ago + burst - left) end
        full[name] = instant
    end
    if freeze then frozen = math.max(frozen, now + freeze) end
end

local rest = math.max(now, frozen)
local kept, reply = {'.latest', text(now)}, {taken, text(now), text(frozen)}
for name, instant in pairs(full) do
    if instant > now then
        kept[#kept + 1], kept[#kept + 2] = name, text(instant)
        rest = math.max(rest, instant)
    end
end
if frozen > now then kept[#kept + 1], kept[#kept + 2] = '.frozen', text(frozen) end
for _, name in ipairs(names) do
    reply[#reply + 1], reply[#reply + 2] = name, text(full[name] or NEVER)
end
redis.call('DEL', account)
redis.call('HSET', account, unpack(kept))
redis.call('PEXPIRE', account, math.ceil(math.min(rest - now, 1e9) * 1000) + 2 * BACK * 1000)
return reply
