-- Sends PUTs that change a report each. Arguments: a path, and how many ids its %d stands for.
local path, ids
local turn = 0

function init(args)
  path, ids = args[1], tonumber(args[2])
  wrk.headers["Content-Type"] = "application/json"
end

function request()
  turn = turn + 1
  local body = string.format('{"status_report":{"description":"Changed %d times by now."}}', turn)
  return wrk.format("PUT", string.format(path, turn * 7919 % ids + 1), wrk.headers, body)
end

function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
