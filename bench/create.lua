-- Sends POSTs of one body. Arguments: the path, the file with the body, the file that takes the id
-- of each report that was acknowledged with 200, and optionally what each request's key begins with.
local request_text
local acknowledged
local key, body, path
local turn = 0

function init(args)
  local file = io.open(args[2], "rb")
  wrk.headers["Content-Type"] = "application/json"
  path, body, key = args[1], file:read("*a"), args[4]
  request_text = wrk.format("POST", path, wrk.headers, body)
  file:close()
  acknowledged = io.open(args[3], "a")
  acknowledged:setvbuf("line")
end

function request()
  if not key then return request_text end
  turn = turn + 1
  wrk.headers["Idempotency-Key"] = key .. "-" .. turn
  return wrk.format("POST", path, wrk.headers, body)
end

function response(status, _, body)
  if status == 200 then
    acknowledged:write(body:match('"id":"(%d+)"'), "\n")
  end
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
