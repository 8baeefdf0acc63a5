-- Sends GETs. Arguments: a path, and optionally how many ids its %d stands for (they take turns,
-- in an order that jumps, so that neighbours do not stand on one page of the database), and the tag
-- of the answer that the client has.
local requests = {}
local turn = 0

function init(args)
  local ids = tonumber(args[2] or "1")
  if args[3] then wrk.headers["If-None-Match"] = args[3] end
  for number = 1, math.min(ids, 1000) do
    local id = (number * 7919) % ids + 1
    requests[number] = wrk.format("GET", string.format(args[1], id))
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
