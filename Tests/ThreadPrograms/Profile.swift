/// What a program is mostly about: how often each kind of step is chosen.
enum Profile: String, Sendable {
  case mixed, closing, structured, waiting, across, async, flood

  enum Choice: Sendable, CaseIterable {
    case pause, meet, submit, submitAndWait, batch, thread, swiftTask, wait, waitEarly, waitForLater, keep, drop, link,
      callback
    case cancel
    case join, scope, spawn, spawnAndWait, perform, map, sum, resize, shutdown, encore, release, inspect, pour
  }

  /// How often a program is of each kind.
  static let all: [Profile] = [
    .mixed, .closing, .closing, .structured, .structured, .waiting, .across, .async, .flood, .flood,
  ]

  func weight(of choice: Choice) -> Int {
    switch self {
    case .mixed: Self.common(choice)
    case .closing:
      switch choice {
      case .shutdown: 10
      case .encore: 12
      case .resize: 10
      case .meet: 14
      case .wait: 24
      case .waitForLater: 20
      case .join, .spawn, .spawnAndWait: 14
      case .scope: 8
      case .thread: 8
      case .release: 1
      case .perform, .map, .sum: 1
      default: Self.common(choice)
      }
    case .structured:
      switch choice {
      case .join: 24
      case .scope: 14
      case .spawn: 30
      case .spawnAndWait: 6
      case .submitAndWait: 10
      case .perform: 6
      case .wait: 24
      case .submit: 8
      case .shutdown: 1
      case .thread, .swiftTask: 1
      default: Self.common(choice)
      }
    case .waiting:
      switch choice {
      case .wait: 40
      case .sum: 6
      case .map: 5
      case .shutdown, .release: 0
      default: Self.common(choice)
      }
    case .across:
      switch choice {
      case .submit: 24
      case .wait: 24
      case .waitForLater: 12
      case .shutdown: 10
      case .join: 8
      default: Self.common(choice)
      }
    case .async:
      switch choice {
      case .swiftTask: 16
      case .wait: 20
      case .shutdown: 8
      default: Self.common(choice)
      }
    case .flood:
      switch choice {
      case .submit: 30
      case .join: 10
      case .wait: 24
      case .shutdown, .release, .sum, .drop: 0
      case .resize: 4
      case .meet: 2
      case .pour: 8
      default: Self.common(choice)
      }
    }
  }

  private static func common(_ choice: Choice) -> Int {
    switch choice {
    case .pause: 8
    case .meet: 6
    case .submit: 14
    case .submitAndWait: 6
    case .batch: 2
    case .thread: 3
    case .swiftTask: 3
    case .wait: 18
    case .waitEarly: 2
    case .waitForLater: 8
    case .keep: 10
    case .drop: 1
    case .link: 3
    case .callback: 2
    case .cancel: 3
    case .join: 6
    case .scope: 4
    case .spawn: 8
    case .spawnAndWait: 2
    case .perform: 2
    case .map: 2
    case .sum: 1
    case .resize: 3
    case .shutdown: 2
    case .release: 1
    case .inspect: 1
    case .encore, .pour: 0
    }
  }
}
