import ArgumentParser

/// What is asked of the subjects in this program, among others; of latency, see ``LatencyBenchName``, and of pools of
/// processes, ``ProcessBenchName``. The names are those of the protocol that all subjects speak, whatever they are written
/// in.
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
  case ours, dispatch, nio, opqueue, fifo, sequential
  case swiftConcurrency = "swift-concurrency"
  case cO3 = "c-O3"
  case oursNoCopy = "ours-no-copy"
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

  /// Other programs, by the option of the runner that brings them.
  enum Programs { case none, peers, engine }

  var name: String
  /// A name that chooses several benches together.
  var family: String?
  var n: Int
  var contestants: [Contestant]
  /// Who can answer it besides the contestants.
  var programs = Programs.peers
  /// Threads that those other programs use.
  var workers = 2
  /// Whether time is proportional to n, so that a slow subject may do less.
  var isDivisible = true
  /// For those who sleep, and would only wait for one another.
  var isSideBySide = false
  /// How many times as many rounds as others. Where one takes a few milliseconds, the scheduler has much of it; and where
  /// several peers do all that the machine can, the best of a few rounds is whoever was lucky. Memory that changes hands is
  /// faster or slower for a second at a time.
  var roundFactor: Int {
    switch BenchName(rawValue: name) {
    case .mapUniform: 15
    case .mapIrregular, .fanoutFuture: 3
    case .primes: 2
    default: 1
    }
  }
  /// Assignments for all subjects. A runtime that collects garbage keeps the pages of dead arrays; here malloc does too, for
  /// whoever uses glibc's, so that pools are compared and not how often the kernel clears 80 MB.
  var environment: [String] {
    let huge = 1 << 30
    return name == BenchName.mapUniform.rawValue
      ? ["GLIBC_TUNABLES=glibc.malloc.mmap_threshold=\(huge):glibc.malloc.trim_threshold=\(huge)"] : []
  }
  func isCalled(_ name: String) -> Bool { name == self.name || name == family }
  /// Of `--smoke`, where nothing is judged but answers.
  var smokeN: Int { name == BenchName.idle.rawValue ? 1 : max(2, n / smokeDivisor) }
  var smokeDivisor = 100
}

extension Bench {
  /// `smaller`: rounds of slow subjects that would otherwise take a second and more.
  fileprivate init(
    _ name: BenchName, n: Int, _ subjects: [SubjectName], smaller: [SubjectName: Int] = [:], workers: Int = 2,
    programs: Programs = .peers, isDivisible: Bool = true, isSideBySide: Bool = false
  ) {
    self.name = name.rawValue
    self.n = n
    contestants = subjects.map { Contestant(subject: $0, workers: workers, n: smaller[$0] ?? n) }
    self.programs = programs
    self.isDivisible = isDivisible
    self.isSideBySide = isSideBySide
  }

  /// What the engine is made of, by itself and in C, since Swift sees none of it.
  private init(ofEngine name: String, n: Int, threads: Int) {
    self.name = name
    self.n = n
    contestants = []
    programs = .engine
    workers = threads
  }

  /// All of them, in the order in which they run.
  static let all = threads + latencies + processes + engine

  private static let threads: [Bench] = [
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
    Bench(.taskChildren, n: 1_000_000, [.ours, .swiftConcurrency], programs: .none),
    Bench(.taskAwaits, n: 50_000, [.ours, .swiftConcurrency], programs: .none),
    Bench(.pending, n: 200_000, [.ours, .dispatch, .swiftConcurrency, .nio]),
    Bench(.pendingFuture, n: 200_000, [.ours, .swiftConcurrency]),
    Bench(.idle, n: 1, [.ours, .dispatch, .swiftConcurrency, .nio], isDivisible: false, isSideBySide: true),
    // The hot loop of the main job alone: one thread. More kernels go here, and into Subjects/PrimeKernel.swift.
    Bench(
      .primeKernel, n: 1_000_000, [.ours, .oursSIMD, .oursSIMD128, .cO3], workers: 1, programs: .none,
      isDivisible: false),
  ]

  private static let engine: [Bench] = [
    Bench(ofEngine: "queue", n: 2_000_000, threads: 2),
    Bench(ofEngine: "queue-contended", n: 2_000_000, threads: 4),
    Bench(ofEngine: "deque", n: 8_000_000, threads: 1),
    Bench(ofEngine: "deque-steal", n: 5_000_000, threads: 2),
    Bench(ofEngine: "event-count", n: 10_000, threads: 2),
  ]

  /// Fanout on pools that are wider than the machine: what a lock in the middle would be punished for.
  private static var wide: Bench {
    var bench = Bench(.wide, n: 1_000_000, [], programs: .none)
    bench.contestants = [1, 2, 4, 16, 64].map { Contestant(subject: .ours, workers: $0, n: bench.n) }
    return bench
  }
}
