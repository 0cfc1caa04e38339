-- A closed loop for wrk: ready-made HTTP requests in turn, answers counted inside a window after a warm-up.
-- wrk ... -- WARM_SECONDS WINDOW_SECONDS REQUEST_FILE...
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } timespec;
  int clock_gettime(int clock, timespec *time);
]]
local MONOTONIC, time = 1, ffi.new("timespec")
local threads, requests, turn = {}, {}, 0
counted, failed = 0, 0 -- global: done() reads them from each thread

local function now()
  ffi.C.clock_gettime(MONOTONIC, time)
  return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
end

function setup(thread)
  threads[#threads + 1] = thread
end

function init(arguments)
  for i = 3, #arguments do
    local file = assert(io.open(arguments[i], "rb"))
    requests[#requests + 1] = file:read("*a")
    file:close()
  end
  opens = now() + tonumber(arguments[1])
  closes = opens + tonumber(arguments[2])
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function response(status)
  if status ~= 200 then
    failed = failed + 1
  else
    local at = now()
    if at >= opens and at < closes then counted = counted + 1 end
  end
end

function done(summary, latency)
  local total, bad = 0, 0
  for _, thread in ipairs(threads) do
    total, bad = total + thread:get("counted"), bad + thread:get("failed")
  end
  local errors = summary.errors
  bad = bad + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '\n{"counted": %d, "failed": %d, "answered": %d, "p50": %d, "p95": %d, "p99": %d}\n',
    total, bad, summary.requests, latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
