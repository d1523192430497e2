import CWorkerPool
import Synchronization
import Testing
import ThreadTestSupport

/// Spares belong to a node, as workers do. Each test commands a worker on each of four nodes.
@Suite struct SpareNodeTests {
  /// What stands in the deque of a node's spare is nearer to its workers than the next node's queue.
  @Test func workersLookAtTheirNodesSparesFirst() throws {
    let pool = try EnginePool(workers: 4, machine: .fourNodes)
    let posts = try occupy(pool)
    let order = Log<String>()
    posts[0].command { #expect(wp_thread_pool_block_begin() == WP_OK) }
    // Only the spare can run this; it leaves the first of two jobs in its own deque.
    let ready = Semaphore()
    let gate = Semaphore()
    let onSpare = Closure.job {
      #expect(wp_thread_pool_current_worker(pool.pool) >= Int32(WP_THREAD_POOL_FIRST_SPARE))
      pool.submit { order.append("of the spare") }
      ready.signal()
      gate.wait()
    }
    #expect(wp_thread_pool_submit_on(pool.pool, 0, onSpare) == WP_OK)
    ready.wait()
    let afar = Closure.job { order.append("of the next node") }
    #expect(wp_thread_pool_submit_on(pool.pool, 1, afar) == WP_OK)
    posts[0].command { wp_thread_pool_block_end() }
    posts[0].leave()
    let both = eventually { order.entries.count == 2 }
    #expect(both)
    #expect(order.entries == ["of the spare", "of the next node"])
    gate.signal()
    for post in posts.dropFirst() { post.leave() }
    pool.end()
  }

  /// A spare of another node, on the bench, would take that node's work away from it.
  @Test func aBlockedWorkerIsReplacedOnItsNode() throws {
    let pool = try EnginePool(workers: 4, name: "sparenode", machine: .fourNodes)
    let posts = try occupy(pool)
    let first = Int32(WP_THREAD_POOL_FIRST_SPARE)
    // Each is called up again for its own, and there is no third.
    for node in [1, 0, 1, 0, 0, 1] {
      let spares = replacements(of: posts[node], node: node, until: node == 1 ? first : first + 1, in: pool)
      #expect(spares.isSubset(of: [first, first + 1]))
    }
    for post in posts { post.leave() }
    pool.end()
  }

  /// With no room for one more, any spare is better than none.
  @Test func anotherNodesSpareIsBetterThanNone() throws {
    let pool = try EnginePool(workers: 4, name: "lastspare", spares: 1, machine: .fourNodes)
    let posts = try occupy(pool)
    let only = Int32(WP_THREAD_POOL_FIRST_SPARE)
    for (node, post) in posts.enumerated() {
      #expect(replacements(of: post, node: node, until: only, in: pool) == [only])
    }
    for post in posts { post.leave() }
    pool.end()
  }

  /// The spares that run what is submitted to a node while its worker is blocked, until one of them is `wanted`. Before it
  /// another may run a job or two: one that has not noticed yet that it is not needed any more. An index stays that of a
  /// node's spares, even where a thread has ended, since it was idle for long.
  private func replacements(of post: Post, node: Int, until wanted: Int32, in pool: EnginePool) -> Set<Int32> {
    let spares = Log<Int32>()
    post.command { #expect(wp_thread_pool_block_begin() == WP_OK) }
    let found = eventually {
      let ran = Semaphore()
      let job = Closure.job {
        spares.append(wp_thread_pool_current_worker(pool.pool))
        ran.signal()
      }
      #expect(wp_thread_pool_submit_on(pool.pool, Int32(node), job) == WP_OK)
      ran.wait()
      return spares.entries.last == wanted
    }
    #expect(found, "\(spares.entries.suffix(5)) ran in place of the worker of node \(node)")
    post.command { wp_thread_pool_block_end() }
    return Set(spares.entries)
  }

  /// A worker on each of four nodes, in their order.
  private func occupy(_ pool: EnginePool) throws -> [Post] {
    let posts = Log<Post>()
    for _ in 0..<4 {
      let stands = Semaphore()
      pool.submit {
        let post = Post(worker: wp_thread_pool_current_worker(pool.pool))
        posts.append(post)
        stands.signal()
        post.stand()
      }
      stands.wait()
    }
    let nodes = (UInt32(0)..<4).map { index in
      var counters = wp_worker_counters()
      return wp_thread_pool_counters(pool.pool, index, &counters, nil) ? counters.node : .max
    }
    try #require(nodes == [0, 1, 2, 3])
    return posts.entries.sorted { $0.worker < $1.worker }
  }
}

/// A worker that does what it is told, and nothing else.
private final class Post: Sendable {
  let worker: Int32
  private let order = Mutex<(@Sendable () -> Void)?>(nil)
  private let given = Semaphore()
  private let done = Semaphore()

  init(worker: Int32) { self.worker = worker }

  func stand() {
    while true {
      given.wait()
      guard let order = order.withLock({ $0 }) else { return }
      order()
      done.signal()
    }
  }

  func command(_ body: @escaping @Sendable () -> Void) {
    order.withLock { $0 = body }
    given.signal()
    done.wait()
  }

  func leave() {
    order.withLock { $0 = nil }
    given.signal()
  }
}
