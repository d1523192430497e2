/// What is asked of pools of processes.
enum ProcessBenchName: String {
  case pingpong = "process-pingpong"
  case pingpongParked = "process-pingpong-parked"
  case pingpongParkedNear = "process-pingpong-parked-near"
  case fanout = "process-fanout"
  case map = "process-map"
  case payload = "process-payload"
  case respawn = "process-respawn"
  case primes = "process-primes"
  case seed = "process-seed"
}

extension Bench {
  private init(
    _ name: ProcessBenchName, n: Int, _ subjects: [SubjectName] = [.ours], workers: Int = 2, isDivisible: Bool = true
  ) {
    self.init(
      name: name.rawValue, n: n,
      contestants: subjects.map { subject in
        Contestant(subject: subject, workers: subject == .sequential ? 1 : workers, n: n)
      },
      workers: workers, isDivisible: isDivisible)
  }

  /// The work that this package began with, which the README's headline is about.
  static let seed = Bench(.seed, n: 50_000, [.ours, .sequential], isDivisible: false)

  static let processes: [Bench] = [
    Bench(.pingpong, n: 30_000),
    // To wake a sleeper on another CPU costs ten times what it costs on the same one, and where the scheduler puts the
    // two is luck that lasts for a whole run. So there is a bench for each.
    Bench(.pingpongParked, n: 5000),
    Bench(.pingpongParkedNear, n: 20_000),
    Bench(.fanout, n: 200_000),
    Bench(.map, n: 400_000),
    Bench(.payload, n: 1000, [.ours, .oursNoCopy]),
    // A pool of one: nobody else can begin what stands behind the task that dies.
    Bench(.respawn, n: 300, workers: 1),
    Bench(.primes, n: 2_000_000, [.ours, .sequential], isDivisible: false),
    seed,
  ]
}
