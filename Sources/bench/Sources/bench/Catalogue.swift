import ArgumentParser

/// What is asked. The names are those of the protocol that all subjects speak, whatever they are written in.
enum BenchName: String, CaseIterable, ExpressibleByArgument {
  case fanout, contend, wide, pingpong, primes, pending, idle
  case fanoutFuture = "fanout-future"
  case spawnFib = "spawn-fib"
  case mapUniform = "map-uniform"
  case mapIrregular = "map-irregular"
  case fireAndForget = "fire-and-forget"
  case pendingFuture = "pending-future"
  case taskChildren = "task-children"
  case taskAwaits = "task-awaits"
  case primeKernel = "prime-kernel"
}

/// Who is asked, among those that this program contains. What a Swift program would otherwise use, each with as many
/// workers as ours where it lets itself be told.
enum SubjectName: String, CaseIterable, ExpressibleByArgument {
  case ours, dispatch, nio, opqueue
  case swiftConcurrency = "swift-concurrency"
  case cO3 = "c-O3"
  case oursSIMD = "ours-simd"
  case oursSIMD128 = "ours-simd128"
}

/// A question and those who are compared to answer it.
struct Bench {
  struct Contestant {
    var subject: SubjectName
    var workers: Int
    var n: Int
  }

  var name: BenchName
  var n: Int
  var contestants: [Contestant]
  /// Whether programs of other worlds can answer it.
  var takesPeers = true
  /// Whether time is proportional to n, so that a slow subject may do less.
  var isDivisible = true
  /// For those who sleep, and would only wait for one another.
  var isSideBySide = false
  /// Assignments for all subjects. A runtime that collects garbage keeps the pages of dead arrays; here malloc does too, for
  /// whoever uses glibc's, so that pools are compared and not how often the kernel clears 80 MB.
  var environment: [String] {
    let huge = 1 << 30
    return name == .mapUniform
      ? ["GLIBC_TUNABLES=glibc.malloc.mmap_threshold=\(huge):glibc.malloc.trim_threshold=\(huge)"] : []
  }
  /// Of `--smoke`, where nothing is judged but answers.
  var smokeN: Int { name == .idle ? 1 : max(2, n / 100) }
}

extension Bench {
  /// `smaller`: rounds of slow subjects that would otherwise take a second and more.
  fileprivate init(
    _ name: BenchName, n: Int, _ subjects: [SubjectName], smaller: [SubjectName: Int] = [:], workers: Int = 2,
    takesPeers: Bool = true, isDivisible: Bool = true, isSideBySide: Bool = false
  ) {
    self.name = name
    self.n = n
    contestants = subjects.map { Contestant(subject: $0, workers: workers, n: smaller[$0] ?? n) }
    self.takesPeers = takesPeers
    self.isDivisible = isDivisible
    self.isSideBySide = isSideBySide
  }

  /// All of them, in the order in which they run.
  static let all: [Bench] = [
    Bench(
      .fanout, n: 1_000_000, [.ours, .dispatch, .swiftConcurrency, .nio, .opqueue],
      smaller: [.swiftConcurrency: 200_000, .opqueue: 20_000]),
    wide,
    Bench(.fanoutFuture, n: 200_000, [.ours, .swiftConcurrency]),
    Bench(
      .contend, n: 1_000_000, [.ours, .dispatch, .swiftConcurrency, .nio, .opqueue],
      smaller: [.swiftConcurrency: 200_000, .opqueue: 20_000]),
    Bench(.fireAndForget, n: 1_000_000, [.ours, .dispatch, .swiftConcurrency], smaller: [.swiftConcurrency: 200_000]),
    // The forks of fib(29), fib(24) and fib(23).
    Bench(
      .spawnFib, n: 832_039, [.ours, .dispatch, .swiftConcurrency],
      smaller: [.dispatch: 75_024, .swiftConcurrency: 46_367]),
    Bench(
      .pingpong, n: 30_000, [.ours, .dispatch, .swiftConcurrency, .nio, .opqueue],
      smaller: [.dispatch: 5000, .swiftConcurrency: 3000, .nio: 3000, .opqueue: 3000]),
    Bench(.mapUniform, n: 10_000_000, [.ours, .dispatch]),
    Bench(.mapIrregular, n: 200, [.ours, .dispatch, .swiftConcurrency, .opqueue], isDivisible: false),
    Bench(.primes, n: 5_000_000, [.ours, .dispatch, .swiftConcurrency], isDivisible: false),
    Bench(.taskChildren, n: 1_000_000, [.ours, .swiftConcurrency], takesPeers: false),
    Bench(.taskAwaits, n: 50_000, [.ours, .swiftConcurrency], takesPeers: false),
    Bench(.pending, n: 200_000, [.ours, .dispatch, .swiftConcurrency, .nio]),
    Bench(.pendingFuture, n: 200_000, [.ours, .swiftConcurrency]),
    Bench(.idle, n: 1, [.ours, .dispatch, .swiftConcurrency, .nio], isDivisible: false, isSideBySide: true),
    // The hot loop of the main job alone: one thread. More kernels go here, and into Subjects/PrimeKernel.swift.
    Bench(
      .primeKernel, n: 1_000_000, [.ours, .oursSIMD, .oursSIMD128, .cO3], workers: 1, takesPeers: false,
      isDivisible: false),
  ]

  /// Fanout on pools that are wider than the machine: what a lock in the middle would be punished for.
  private static var wide: Bench {
    var bench = Bench(.wide, n: 1_000_000, [], takesPeers: false)
    bench.contestants = [1, 2, 4, 16, 64].map { Contestant(subject: .ours, workers: $0, n: bench.n) }
    return bench
  }
}
