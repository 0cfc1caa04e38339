-- A closed loop for wrk, for one thread: ready-made HTTP requests in turn, answers counted inside a window after a
-- warm-up. Answers of a batch arrive together, so the window is stretched from the last answer before it to the last in
-- it: a rate counts whole batches only.
-- wrk ... -- WARM_SECONDS WINDOW_SECONDS PAUSE_MS REQUEST_FILE...
local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds; long nanoseconds; } timespec;
  int clock_gettime(int clock, timespec *time);
]]
local MONOTONIC, time = 1, ffi.new("timespec")
local worker, requests, turn = nil, {}, 0
counted, failed = 0, 0 -- global, like `began` and `ended`: done() reads them from the thread

local function now()
  ffi.C.clock_gettime(MONOTONIC, time)
  return tonumber(time.seconds) + tonumber(time.nanoseconds) / 1e9
end

function setup(thread)
  worker = thread
end

function init(arguments)
  local pause = tonumber(arguments[3])
  if pause > 0 then -- wrk looks whether there is such a function
    delay = function() return pause * (0.5 + math.random()) end
  end
  for i = 4, #arguments do
    local file = assert(io.open(arguments[i], "rb"))
    requests[#requests + 1] = file:read("*a")
    file:close()
  end
  began = now() -- counts as it is where the first answers come late
  opens = began + tonumber(arguments[1])
  closes = opens + tonumber(arguments[2])
  ended = began
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
    if at < opens then
      began = at
    elseif at < closes then
      counted, ended = counted + 1, at
    end
  end
end

function done(summary, latency)
  local errors = summary.errors
  local bad = worker:get("failed") + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format(
    '\n{"counted": %d, "seconds": %f, "failed": %d, "answered": %d, "p50": %d, "p95": %d, "p99": %d}\n',
    worker:get("counted"), worker:get("ended") - worker:get("began"), bad, summary.requests,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)))
end
