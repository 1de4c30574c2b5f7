-- Sends 128 bytes; prints requests, microseconds and errors, then the histogram of latencies in microseconds.
wrk.method = "POST"
wrk.body = string.rep("x", 128)

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write("summary ", summary.requests, " ", summary.duration, " ", failed, "\n")
  for index = 1, #latency do
    local microseconds, count = latency(index)
    io.write("bin ", microseconds, " ", count, "\n")
  end
end
