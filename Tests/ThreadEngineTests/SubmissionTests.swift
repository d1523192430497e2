import CWorkerPool
import Testing
import ThreadTestSupport

private let million = 1_000_000

@Suite struct SubmissionTests {
  @Test(arguments: [1, 2, 4] as [UInt32])
  func jobsFromManyThreadsRunOnce(workers: UInt32) throws {
    let pool = try EnginePool(workers: workers)
    let marks = Marks(million)
    onThreads(4) { thread in
      for index in stride(from: thread, to: million, by: 4)
      where wp_thread_pool_submit(pool.pool, marks.job(index)) != WP_OK {
        Issue.record("job \(index) was refused")
      }
    }
    pool.end()
    #expect(marks.countOnce() == million)
  }

  @Test(arguments: [2, 33, 4096]) func batchesRunOnce(size: Int) throws {
    let pool = try EnginePool(workers: 3)
    let marks = Marks(million)
    onThreads(2) { thread in
      for start in stride(from: thread * size, to: million, by: 2 * size) {
        let jobs = (start..<min(start + size, million)).map { marks.job($0) }
        var accepted = 0
        #expect(wp_thread_pool_submit_batch(pool.pool, jobs, jobs.count, &accepted) == WP_OK)
        #expect(accepted == jobs.count)
      }
    }
    pool.end()
    #expect(marks.countOnce() == million)
  }

  /// By every way to submit, from outside and on a worker; and by a pool that would run foreign jobs all but these.
  @Test(arguments: [false, true]) func codesThatNobodyCanRunAreRefused(takesForeign: Bool) throws {
    let pool = try EnginePool(workers: 1, takesForeign: takesForeign)
    let marks = Marks(1)
    let bad: [UInt] = [0, 1] + (takesForeign ? [] : [foreignTag, foreignTag | 1, UInt.max])
    let node = wp_topology_node_id(wp_thread_pool_topology(pool.pool), 0)
    let refuses = {
      bad.allSatisfy { code in
        let job = wp_job(code: code, argument: nil)
        var accepted = 1
        let batch = wp_thread_pool_submit_batch(pool.pool, [marks.job(0), job], 2, &accepted)
        return batch == WP_INVALID_ARGUMENT && accepted == 0
          && wp_thread_pool_submit(pool.pool, job) == WP_INVALID_ARGUMENT
          && wp_thread_pool_submit_on(pool.pool, node, job) == WP_INVALID_ARGUMENT
      }
    }
    #expect(refuses())
    #expect(onWorker(of: pool, refuses))
    #expect(wp_thread_pool_submit(pool.pool, marks.job(0)) == WP_OK)
    pool.end()
    #expect(marks.countOnce() == 1)
    #expect(pool.hooks.discarded.entries.isEmpty)
  }

  /// What `body` says on a worker of the pool, to which it goes by a C function.
  private func onWorker(of pool: EnginePool, _ body: @escaping () -> Bool) -> Bool {
    final class Question {
      let body: () -> Bool
      var answer = false
      let done = Semaphore()
      init(_ body: @escaping () -> Bool) { self.body = body }
    }
    let question = Question(body)
    let asked = job(
      { argument in
        let question = Unmanaged<Question>.fromOpaque(argument!).takeUnretainedValue()
        question.answer = question.body()
        question.done.signal()
      }, Unmanaged.passUnretained(question).toOpaque())
    #expect(wp_thread_pool_submit(pool.pool, asked) == WP_OK)
    question.done.wait()
    return question.answer
  }

  /// Every job makes two more, until a million have run: all but the first go through the workers' own deques.
  @Test func jobsThatMakeJobsRunOnce() throws {
    let pool = try EnginePool(workers: 4)
    let tree = Tree(nodes: million, pool: pool)
    #expect(wp_thread_pool_submit(pool.pool, tree.job(0)) == WP_OK)
    tree.done.wait()
    pool.end()
    #expect(tree.marks.countOnce() == million)
  }

  /// More than a deque holds: the rest goes through the injector.
  @Test func aWorkersBurstOverflows() throws {
    let pool = try EnginePool(workers: 2)
    let marks = Marks(100_000)
    let submitted = Semaphore()
    pool.submit {
      let jobs = (0..<marks.count).map { marks.job($0) }
      var accepted = 0
      #expect(wp_thread_pool_submit_batch(pool.pool, jobs, jobs.count, &accepted) == WP_OK)
      #expect(accepted == marks.count)
      submitted.signal()
    }
    submitted.wait()
    pool.end()
    #expect(marks.countOnce() == 100_000)
  }

  /// One job at a time, so that the workers fall asleep in between: a lost wake-up never comes back.
  @Test(arguments: [UInt64(0), UInt64.max]) func everySubmissionWakesAWorker(spin: UInt64) throws {
    let pool = try EnginePool(workers: 2, spin: spin)
    let ran = Semaphore()
    for _ in 0..<20_000 {
      pool.submit { ran.signal() }
      ran.wait()
    }
    pool.end()
  }

  /// Two jobs that need each other: the second must not wait for the first one's worker.
  @Test func jobsOfOneBatchRunBesideEachOther() throws {
    let pool = try EnginePool(workers: 2)
    for _ in 0..<500 {
      let here = Semaphore()
      let there = Semaphore()
      let ended = Semaphore()
      let jobs = [
        Closure.job {
          here.signal()
          there.wait()
          ended.signal()
        },
        Closure.job {
          there.signal()
          here.wait()
          ended.signal()
        },
      ]
      var accepted = 0
      wp_thread_pool_submit_batch(pool.pool, jobs, 2, &accepted)
      ended.wait(2)
    }
    pool.end()
  }

  @Test func whatWasWrittenBeforeIsSeenByTheJob() throws {
    let pool = try EnginePool(workers: 2)
    let marks = Marks(10_000)
    for index in 0..<marks.count {
      marks.bytes[index] = 255  // not atomic: the pool's edge alone orders it before the job, which adds 2
      let address = marks.bytes + index
      wp_thread_pool_submit(
        pool.pool,
        job(
          { argument in
            let byte = argument!.assumingMemoryBound(to: UInt8.self)
            byte.pointee = byte.pointee &+ 2
          }, address))
    }
    pool.end()
    #expect(marks.countOnce() == 10_000)
  }

  // MARK: Fairness

  @Test func aJobThatResubmitsItselfStarvesNobodyOutside() throws {
    let pool = try EnginePool(workers: 1)
    let loop = SelfResubmitting(pool)
    let gate = pool.block()
    pool.submit { loop.run() }
    pool.submit { loop.stop() }  // runs only if the worker still looks at the injector
    gate.signal()
    loop.stopped.wait()
    pool.end()
  }

  @Test func aJobThatResubmitsItselfStarvesNobodyInItsDeque() throws {
    let pool = try EnginePool(workers: 1)
    let loop = SelfResubmitting(pool)
    pool.submit {
      pool.submit { loop.stop() }  // the oldest of the deque, whose newest is always the loop
      pool.submit { loop.run() }
    }
    loop.stopped.wait()
    pool.end()
  }

  // MARK: Who am I

  @Test func workersKnowTheirPool() throws {
    let pool = try EnginePool(workers: 2)
    let other = try EnginePool(workers: 1)
    #expect(wp_thread_pool_current() == nil)
    #expect(wp_thread_pool_current_worker(pool.pool) == -1)
    #expect(wp_thread_pool_worker_count(pool.pool) == 2)
    let indices = Log<Int32>()
    let ran = Semaphore()
    let gate = Semaphore()
    for _ in 0..<2 {
      pool.submit {
        indices.append(wp_thread_pool_current_worker(pool.pool))
        #expect(wp_thread_pool_current() == pool.pool)
        #expect(wp_thread_pool_current_worker(other.pool) == -1)
        // From a worker of one pool into another.
        other.submit {
          #expect(wp_thread_pool_current() == other.pool)
          ran.signal()
        }
        gate.wait()
      }
    }
    ran.wait(2)
    gate.signal(2)
    pool.end()
    other.end()
    #expect(indices.entries.sorted() == [0, 1])
  }

  @Test func theDefaultIsWhatTheProcessIsGranted() throws {
    var topology: OpaquePointer?
    try #require(wp_topology_create(nil, &topology, nil) == WP_OK)
    defer { wp_topology_destroy(topology) }
    var pool: OpaquePointer?
    try #require(wp_thread_pool_create(nil, &pool, nil) == WP_OK)
    #expect(Int(wp_thread_pool_worker_count(pool!)) == wp_topology_granted(topology!))
    wp_thread_pool_close(pool!)
    #expect(wp_thread_pool_join(pool!) == WP_OK)
    wp_thread_pool_release(pool)
  }
}

/// A binary tree of jobs, each of which submits its children in one batch.
private final class Tree: Sendable {
  let marks: Marks
  let pool: EnginePool
  let done = Semaphore()
  private let left: Counter

  init(nodes: Int, pool: EnginePool) {
    marks = Marks(nodes)
    left = Counter()
    left.add(nodes)
    self.pool = pool
  }

  func job(_ node: Int) -> wp_job { Closure.job { self.visit(node) } }

  private func visit(_ node: Int) {
    marks.bytes[node] &+= 1
    let children = [2 * node + 1, 2 * node + 2].filter { $0 < marks.count }.map { job($0) }
    var accepted = 0
    if !children.isEmpty { wp_thread_pool_submit_batch(pool.pool, children, children.count, &accepted) }
    if accepted != children.count { Issue.record("children of node \(node) were refused") }
    if left.add(-1) == 0 { done.signal() }
  }
}

private final class SelfResubmitting: Sendable {
  let stopped = Semaphore()
  private let pool: EnginePool
  private let stops = Counter()

  init(_ pool: EnginePool) { self.pool = pool }

  func run() {
    if stops.value > 0 { stopped.signal() } else { pool.submit { self.run() } }
  }

  func stop() { stops.add() }
}
