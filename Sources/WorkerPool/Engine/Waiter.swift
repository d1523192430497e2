import Synchronization

/// Somebody to tell when a future is done, other than a blocked thread (those sleep on the state word itself).
enum Waiter {
  case callback(@Sendable () -> Void)
  case continuation(UnsafeContinuation<Bool, Never>)

  /// Tells the waiter that the future is done.
  func notify() {
    switch self {
    case .callback(let body): body()
    case .continuation(let continuation): continuation.resume(returning: true)
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

  init(_ waiter: Waiter? = nil) { self.waiter = waiter }
}

/// A doubly linked list of waiters, in order of registration: O(1) at both ends and for removal. One word: the last node
/// is the first one's predecessor.
@usableFromInline
struct WaiterList {
  private(set) var first: WaiterNode?

  @usableFromInline init() {}

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

  /// Takes all waiters out and tells each, in order. Iterative, so that a long list needs no deep stack.
  consuming func notifyAll() {
    var current = first
    while let node = current {
      current = node.next
      node.next = nil
      node.isListed = false
      node.waiter.take()?.notify()
    }
  }
}

/// Waiters of futures that were completed on a thread that must not run callbacks, for a thread that may.
@usableFromInline
final class UntoldWaiters: @unchecked Sendable {
  // SAFETY: the nodes in `lists` belong to nobody else, since their futures are done; `Locked` guards the list of them.
  private let lists = Locked<[UncheckedList]>([])
  /// A hint: true as soon as the adding thread could know better.
  private let hasAny = Atomic(false)

  private struct UncheckedList: @unchecked Sendable {
    // SAFETY: as above.
    var waiters: WaiterList
  }

  var isEmpty: Bool { !hasAny.load(ordering: .relaxed) }

  func add(_ waiters: WaiterList) {
    lists.withLock { $0.append(UncheckedList(waiters: waiters)) }
    hasAny.store(true, ordering: .relaxed)
  }

  /// Tells them all, in the order in which their futures were completed.
  func tellAll() {
    hasAny.store(false, ordering: .relaxed)
    let lists = lists.withLock { lists in
      defer { lists = [] }
      return lists
    }
    for list in lists { list.waiters.notifyAll() }
  }
}
