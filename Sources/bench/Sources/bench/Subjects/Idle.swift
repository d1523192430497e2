// What a pool costs that has nothing to do.
import Foundation

/// Before each round the pool works, and falls asleep.
func idle(_ submit: @escaping (Latch) throws -> Void) -> Workload {
  let burst = fanout(10_000, submit)
  var before: [String: Int] = [:]
  return Workload(
    warmUp: { _ = try burst.round()() },
    prepare: {
      _ = try burst.round()()
      Thread.sleep(forTimeInterval: 0.1)
      before = contextSwitches()
    },
    round: {
      Thread.sleep(forTimeInterval: 2)
      return {
        // A thread that is gone by now cannot be asked, and one that came has been running since.
        let switches = contextSwitches().map { thread, count in count - before[thread, default: 0] }
        return ["switches": Double(switches.reduce(0, +))]
      }
    })
}

/// Voluntary and involuntary context switches of every thread but the main one.
private func contextSwitches() -> [String: Int] {
  let tasks = "/proc/self/task"
  let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
  var counts: [String: Int] = [:]
  for thread in threads where thread != String(getpid()) {
    // It may have ended meanwhile.
    guard let status = try? String(contentsOfFile: "\(tasks)/\(thread)/status", encoding: .utf8) else { continue }
    let lines = status.split(separator: "\n").filter { $0.contains("ctxt_switches:") }
    counts[thread] = lines.compactMap { $0.split(separator: "\t").last.flatMap { Int($0) } }.reduce(0, +)
  }
  return counts
}
