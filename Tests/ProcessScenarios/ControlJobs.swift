import Glibc
import WorkerPool
import WorkerPoolFoundation

/// Runs until it is asked to stop.
package struct AwaitStop: Job, BitwiseWireCodable {
  package enum Answer: UInt8, BitwiseWireCodable { case cancellation, ownError, result }

  package var answer: Answer
  package init(answer: Answer = .cancellation) { self.answer = answer }

  package func run() throws -> Int {
    while TaskContext.current?.isStopRequested != true { sched_yield() }
    switch answer {
    case .cancellation: try TaskContext.checkStop()
    case .ownError: throw CodeError(code: 5)
    case .result: break
    }
    return 7
  }
}

/// The same, having passed the first half of a gate, by which it is known to run.
package struct AwaitStopAtGate: Job, JSONWireCodable {
  package var directory: String
  package init(_ gate: Gate) { directory = gate.directory }

  package func run() throws -> Int {
    close(open("\(directory)/begun", O_WRONLY | O_CLOEXEC))
    return try AwaitStop().run()
  }
}

/// Hears nothing and never ends.
package struct Stubborn: Job, BitwiseWireCodable {
  package init() {}
  package func run() -> Int {
    while true { pause() }
  }
}

/// Tells what the worker knows of the task: its worker's index, whether it should stop, and milliseconds left, or -1.
package struct TellContext: Job, BitwiseWireCodable {
  package init() {}
  package func run() throws -> [Int] {
    guard let context = TaskContext.current else { return [] }
    try TaskContext.checkStop()
    let left = context.remainingTime.map { Int($0 / .milliseconds(1)) } ?? -1
    return [context.workerIndex, context.isStopRequested ? 1 : 0, left]
  }
}

/// Ends its worker `times` times, then returns the number of attempts. Each leaves a file in the directory.
package struct KillWorkers: Job, JSONWireCodable {
  package var directory: String
  package var times: Int

  package func run() -> Int {
    for attempt in 1..<times + 1 {
      let file = open("\(directory)/attempt-\(attempt)", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0o600)
      if file >= 0 { kill(getpid(), SIGKILL) }
    }
    return times + 1
  }
}
