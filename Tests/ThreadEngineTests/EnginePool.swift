import CWorkerPool
import ThreadTestSupport

/// What a pool's hooks saw.
final class Hooks: Sendable {
  struct Event: Sendable, Hashable {
    var worker: Int
    var thread: Int
  }

  /// Called on each worker's thread before its first job.
  let starting: (@Sendable () -> Void)?
  let started = Log<Event>()
  let stopped = Log<Event>()
  let startedOne = Semaphore()
  /// Arguments of jobs that were given back.
  let discarded = Log<UInt>()
  /// Arguments of jobs that ended their thread.
  let abandoned = Log<UInt>()
  let destroyed = Counter()
  let wasDestroyed = Semaphore()

  init(starting: (@Sendable () -> Void)? = nil) { self.starting = starting }

  static func from(_ context: UnsafeMutableRawPointer?) -> Hooks {
    Unmanaged<Hooks>.fromOpaque(context!).takeUnretainedValue()
  }

  func intoC() -> wp_thread_pool_hooks {
    wp_thread_pool_hooks(
      context: Unmanaged.passRetained(self).toOpaque(),
      worker_start: { context, worker in
        let hooks = Hooks.from(context)
        hooks.starting?()
        hooks.started.append(Event(worker: Int(worker), thread: currentThreadID()))
        hooks.startedOne.signal()
      },
      worker_stop: { context, worker in
        Hooks.from(context).stopped.append(Event(worker: Int(worker), thread: currentThreadID()))
      },
      run_foreign: { _, job in Closure.take(job.argument).body() },
      discard: { context, job in
        Hooks.from(context).discarded.append(UInt(bitPattern: job.argument))
        if job.code & foreignTag != 0 { _ = Closure.take(job.argument) }
      },
      abandon: { context, job in Hooks.from(context).abandoned.append(UInt(bitPattern: job.argument)) },
      is_stale: nil,
      destroy: { context in
        // The reference stays with the test, which looks for a second call.
        let hooks = Hooks.from(context)
        hooks.destroyed.add()
        hooks.wasDestroyed.signal()
      })
  }

  /// Gives back the reference that ``intoC()`` took, once the pool is gone.
  func end() { Unmanaged.passUnretained(self).release() }
}

/// A pool of the C engine, driven through nothing but its C functions.
struct EnginePool: Sendable {
  // SAFETY: wp_thread_pool_* functions may be called from any thread.
  nonisolated(unsafe) let pool: OpaquePointer
  let hooks: Hooks

  struct Refusal: Error {
    var status: wp_status
    var errno: Int32
    var call: String?
    var rule: String?
    var refused: Int32
  }

  /// With `guests` the pool has no start and stop hooks, which would keep guests out.
  init(
    workers: UInt32, name: String? = nil, stackSize: Int = 0, affinity: wp_affinity = WP_AFFINITY_NONE,
    cpus: [Int32] = [], spin: UInt64 = 0, spares: UInt32 = 0, blockedSignals: [Int32] = [], hooks: Hooks? = nil,
    machine: MachineFiles? = nil, guests: Bool = false, takesForeign: Bool = true
  ) throws {
    let hooks = hooks ?? Hooks()
    self.hooks = hooks
    var config = wp_thread_pool_config()
    config.worker_count = workers
    config.stack_size = stackSize
    config.affinity.policy = affinity
    config.spin_ns = spin
    config.spare_limit = spares
    config.hooks = hooks.intoC()
    if !takesForeign { config.hooks.run_foreign = nil }
    if guests {
      config.hooks.worker_start = nil
      config.hooks.worker_stop = nil
    }
    var created: OpaquePointer?
    var error = wp_error()
    let create = { (name: UnsafePointer<CChar>?) in
      cpus.withUnsafeBufferPointer { list in
        blockedSignals.withUnsafeBufferPointer { signals in
          config.name = name
          config.affinity.cpus = list.baseAddress
          config.affinity.cpu_count = list.count
          config.blocked_signals = signals.baseAddress
          config.blocked_signal_count = signals.count
          config.machine = machine.map { UnsafePointer($0.source) }
          return wp_thread_pool_create(&config, &created, &error)
        }
      }
    }
    let status = if let name { name.withCString { create($0) } } else { create(nil) }
    guard status == WP_OK, let created else {
      hooks.end()
      throw Refusal(
        status: status == error.status ? status : WP_OK, errno: error.system_errno,
        call: error.call.map { String(cString: $0) }, rule: error.rule.map { String(cString: $0) },
        refused: error.refused)
    }
    pool = created
  }

  /// Submits a closure; a refused one is released.
  @discardableResult
  func submit(_ body: @escaping @Sendable () -> Void) -> wp_status {
    let job = Closure.job(body)
    let status = wp_thread_pool_submit(pool, job)
    if status != WP_OK { _ = Closure.take(job.argument) }
    return status
  }

  /// Closes, joins, releases, and checks nothing: tests do that for themselves.
  func end() {
    wp_thread_pool_close(pool)
    wp_thread_pool_join(pool)
    wp_thread_pool_release(pool)
    hooks.wasDestroyed.wait()
    hooks.end()
  }

  /// Occupies `workers` workers until the semaphore is signalled as often. Returns when they are.
  func block(_ workers: Int = 1) -> Semaphore {
    let gate = Semaphore()
    let blocked = Semaphore()
    for _ in 0..<workers {
      submit {
        blocked.signal()
        gate.wait()
      }
    }
    blocked.wait(workers)
    return gate
  }
}

/// A closure as a foreign job: one reference, owned by the queue.
final class Closure: Sendable {
  let body: @Sendable () -> Void

  init(_ body: @escaping @Sendable () -> Void) { self.body = body }

  static func job(_ body: @escaping @Sendable () -> Void) -> wp_job {
    wp_job(code: foreignTag | 1, argument: Unmanaged.passRetained(Closure(body)).toOpaque())
  }

  static func take(_ argument: UnsafeMutableRawPointer?) -> Closure {
    Unmanaged<Closure>.fromOpaque(argument!).takeRetainedValue()
  }
}

/// WP_JOB_FOREIGN, whose cast the importer cannot read.
let foreignTag: UInt = 1 << 63

/// A job made of a C function.
func job(_ function: wp_job_function, _ argument: UnsafeMutableRawPointer?) -> wp_job {
  wp_job(code: UInt(bitPattern: unsafeBitCast(function, to: Int.self)), argument: argument)
}

/// One byte for each job, which only that job changes: a job that runs twice shows, one that runs beside itself is a race.
struct Marks: Sendable {
  // SAFETY: each byte is written by one job and read after the pool was joined.
  nonisolated(unsafe) let bytes: UnsafeMutablePointer<UInt8>
  let count: Int

  init(_ count: Int) {
    self.count = count
    bytes = .allocate(capacity: count)
    bytes.initialize(repeating: 0, count: count)
  }

  func job(_ index: Int) -> wp_job { ThreadEngineTests.job(markByte, bytes + index) }

  /// How many jobs ran exactly once; frees the bytes.
  consuming func countOnce() -> Int {
    defer { bytes.deallocate() }
    return UnsafeBufferPointer(start: bytes, count: count).reduce(0) { $0 + ($1 == 1 ? 1 : 0) }
  }
}

private let markByte: wp_job_function = { argument in
  argument!.assumingMemoryBound(to: UInt8.self).pointee &+= 1
}
