import Synchronization

/// Somebody to tell when a future is done, other than the threads that sleep on the state word itself.
enum Waiter {
  case callback(@Sendable () -> Void)
  case continuation(UnsafeContinuation<Bool, Never>)
  /// A worker that waits for work of its own pool. Stands before all others in a list, and is woken before them.
  case thread(BlockedThread)

  /// Tells the waiter that the future is done.
  func notify() {
    switch self {
    case .callback(let body): body()
    case .continuation(let continuation): continuation.resume(returning: true)
    case .thread(let thread): thread.wake()
    }
  }
}

/// A waiter's place in a future's list, and the handle to take it out again.
///
/// All fields are guarded by the lock bit of the future's state word, but for `waiter` before the node is added.
final class WaiterNode: @unchecked Sendable {
  // SAFETY: every access happens under `Future`'s lock bit (Engine/FutureState.swift), or, after the future is done
  // and the list was detached, on the completing thread alone.
  var waiter: Waiter?
  var next: WaiterNode?
  unowned(unsafe) var previous: WaiterNode?
  var isListed = false
  /// Set when the wait was given up before it began.
  var isAbandoned = false

  var isThread: Bool { if case .thread = waiter { true } else { false } }

  init(_ waiter: Waiter? = nil) { self.waiter = waiter }
}

/// A doubly linked list of waiters, in order of registration: O(1) at both ends, for removal and to join two. One word: the
/// last node is the first one's predecessor.
@usableFromInline
struct WaiterList {
  private(set) var first: WaiterNode?

  @usableFromInline init() {}

  /// The list that `first` begins.
  init(first: WaiterNode?) { self.first = first }

  /// A list of one.
  init(_ node: WaiterNode) { append(node) }

  var isEmpty: Bool { first == nil }

  mutating func append(_ node: WaiterNode) {
    node.isListed = true
    if let first {
      let last = first.previous ?? first
      last.next = node
      node.previous = last
      first.previous = node
    } else {
      first = node
      node.previous = node
    }
  }

  mutating func remove(_ node: WaiterNode) {
    node.isListed = false
    let (next, previous) = (node.next, node.previous)
    if let next { next.previous = previous } else if first !== node { first?.previous = previous }
    if first === node { first = next } else { previous?.next = next }
    node.next = nil
    node.previous = nil
  }

  mutating func prepend(_ node: WaiterNode) {
    var list = WaiterList(node)
    list.append(contentsOf: self)
    self = list
  }

  /// Takes all threads out and wakes them.
  mutating func wakeThreads() {
    while let node = first, node.isThread {
      remove(node)
      node.waiter.take()?.notify()
    }
  }

  mutating func append(contentsOf other: consuming WaiterList) {
    guard let second = other.first else { return }
    guard let first else {
      self = other
      return
    }
    let last = first.previous ?? first
    first.previous = second.previous
    last.next = second
    second.previous = last
  }

  mutating func popFirst() -> WaiterNode? {
    guard let node = first else { return nil }
    remove(node)
    return node
  }
}

/// Waiters of futures that were completed on a thread that must not run callbacks, for a thread that may.
@usableFromInline
final class UntoldWaiters: @unchecked Sendable {
  // SAFETY: the nodes in `waiters` belong to nobody else, since their futures are done; `Locked` guards the list of them.
  private let waiters = Locked(UncheckedList())
  /// A hint: true as soon as the adding thread could know better.
  private let hasAny = Atomic(false)

  private struct UncheckedList: @unchecked Sendable {
    // SAFETY: as above.
    var list = WaiterList()
  }

  var isEmpty: Bool { !hasAny.load(ordering: .relaxed) }

  func add(_ waiters: WaiterList) {
    self.waiters.withLock { $0.list.append(contentsOf: waiters) }
    hasAny.store(true, ordering: .relaxed)
  }

  /// Tells them all, in the order in which their futures were completed.
  func tellAll() {
    hasAny.store(false, ordering: .relaxed)
    let waiters = waiters.withLock { waiters in
      defer { waiters.list = WaiterList() }
      return waiters
    }
    Delivery.ofThread.tell(waiters.list)
  }
}
