import ThreadTestSupport

/// What has happened in all programs of this process.
struct Tally: Sendable {
  let strands = Counter()
  let refused = Counter()
  let refusals = Counter()
  let timedOut = Counter()

  var summary: String {
    """
    \(strands.value) strands; \(refused.value) calls refused by closed pools, \(refusals.value) waits that would have been \
    deadlocks, \(timedOut.value) waits that timed out
    """
  }
}

let tally = Tally()
