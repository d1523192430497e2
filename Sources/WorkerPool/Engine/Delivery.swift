import CWorkerPool

/// What the calling thread still has to tell of the futures that it has completed.
///
/// A callback may complete further futures, and so may what it lets go of. To tell of these on top of it would need a
/// stack as deep as the chain is long. So a thread that tells already puts them into its queue, and the outermost call
/// goes on until the queue is empty. What a callback brings about is told right after it, before the callbacks that were
/// to come next: in the order in which a recursion would begin them. Callbacks of one future so run in the order of their
/// registration.
///
/// The queue is made of nodes that are there anyway, in a record of the thread: nothing is allocated. The engine has what
/// is left told before the thread blocks (``deliverAll()``).
struct Delivery {
  fileprivate let record: UnsafeMutablePointer<wp_delivery>

  /// That of the calling thread, which is the only one that may use it.
  static var ofThread: Delivery { Delivery(record: wp_thread_delivery()) }

  /// Whether the thread is in a callback.
  var isInCallback: Bool { record.pointee.delivers }

  // MARK: The queue

  /// Tells all of a list: now, or after the callback that runs on this thread.
  func tell(_ waiters: consuming WaiterList) {
    forgetWhatWasBeforeFork()
    var fresh = WaiterList(from: &record.pointee.fresh)
    fresh.append(contentsOf: waiters)
    fresh.move(to: &record.pointee.fresh)
    guard !record.pointee.delivers else { return }
    record.pointee.deliver = { Delivery.ofThread.deliverAll() }
    deliver(beyondFloors: false)
  }

  /// Tells all that is left: for a thread that is about to block, perhaps for what is told then. Callbacks that block in turn
  /// come here again, as long as enough of the stack is left.
  func deliverAll() {
    guard record.pointee.fresh != nil || record.pointee.rest != nil else { return }
    guard wp_thread_remaining_stack() > minimumDeliveryStack else { return }
    forgetWhatWasBeforeFork()
    deliver(beyondFloors: true)
  }

  fileprivate func deliver(beyondFloors: Bool) {
    let delivered = record.pointee.delivers
    record.pointee.delivers = true
    while let node = next(beyondFloors) { node.waiter.take()?.notify() }
    record.pointee.delivers = delivered
  }

  /// Takes the next out of the queue. Nil when there is none, or, unless it is to go beyond, when a floor is next.
  private func next(_ beyondFloors: Bool) -> WaiterNode? {
    if record.pointee.fresh != nil {
      var all = WaiterList(from: &record.pointee.fresh)
      all.append(contentsOf: WaiterList(from: &record.pointee.rest))
      all.move(to: &record.pointee.rest)
    }
    var rest = WaiterList(from: &record.pointee.rest)
    let node = beyondFloors || rest.first?.isFloor == false ? rest.popFirst() : nil
    rest.move(to: &record.pointee.rest)
    return node
  }

  /// Callbacks that a thread of the parent process had begun to call are the parent's to go on with.
  fileprivate func forgetWhatWasBeforeFork() {
    let forks = wp_fork_generation()
    guard record.pointee.forks != forks else { return }
    record.pointee.forks = forks
    // Not released: that would run what they own.
    record.pointee.fresh = nil
    record.pointee.rest = nil
    record.pointee.running = (0, 0)
    record.pointee.delivers = false
  }
}

// MARK: - Tasks on top of a wait

/// The visit of a task to a thread that waits for it, on top of what the thread is in the middle of. As if that were not
/// so: what the task completes is told at once. And so that the task is found if it ends the thread.
@usableFromInline
struct Visit {
  private let delivery: Delivery
  /// Stands in the queue above what is not told meanwhile; nil where the thread is not in a callback.
  private let floor: WaiterNode?
  private let outer: Delivery.Mark

  /// - Returns: the visit, and what to keep until ``end()``, for ``HelpedTask/failAbandoned()``.
  static func begin(_ task: any HelpedTask) -> (Visit, kept: Delivery.Mark) {
    let delivery = Delivery.ofThread
    let visit = Visit(delivery: delivery, floor: delivery.raiseFloor(), outer: delivery.record.pointee.running)
    delivery.record.pointee.running = unsafeBitCast(task as any HelpedTask, to: Delivery.Mark.self)
    return (visit, visit.outer)
  }

  /// After the task's body.
  @usableFromInline
  func endBody() { delivery.record.pointee.running = outer }

  /// After all that the task had to tell.
  @usableFromInline
  func end() {
    if let floor { delivery.lower(floor) }
  }
}

extension Delivery {
  fileprivate func raiseFloor() -> WaiterNode? {
    forgetWhatWasBeforeFork()
    guard record.pointee.delivers else { return nil }
    let floor = WaiterNode()
    var rest = WaiterList(from: &record.pointee.fresh)
    rest.append(contentsOf: WaiterList(from: &record.pointee.rest))
    rest.prepend(floor)
    rest.move(to: &record.pointee.rest)
    record.pointee.delivers = false
    return floor
  }

  fileprivate func lower(_ floor: WaiterNode) {
    record.pointee.delivers = true
    guard floor.isListed else { return }
    var rest = WaiterList(from: &record.pointee.rest)
    rest.remove(floor)
    rest.move(to: &record.pointee.rest)
  }
}

// MARK: - Threads that end in the middle

/// A task that runs on top of a wait for it.
protocol HelpedTask: AnyObject {
  /// Fails the task, whose thread ends. Returns what ``Visit/begin(_:)`` gave it to keep.
  func failAbandoned() -> Delivery.Mark
}

extension Delivery {
  /// The task that was innermost before another one.
  typealias Mark = (UInt, UInt)

  /// For a thread that ends in a task's body or in a callback: fails the tasks that run on top of waits for them, and tells
  /// all that is left. What the frames of the thread own is never released, so that the tasks are still there.
  func abandon() {
    forgetWhatWasBeforeFork()
    record.pointee.delivers = false
    while record.pointee.running.0 != 0 {
      let innermost = unsafeBitCast(record.pointee.running, to: (any HelpedTask).self)
      record.pointee.running = innermost.failAbandoned()
    }
    deliver(beyondFloors: true)
  }
}

extension WaiterList {
  /// Takes over the list that stands in a word.
  fileprivate init(from word: inout UnsafeMutableRawPointer?) {
    self.init(first: word.map { Unmanaged<WaiterNode>.fromOpaque($0).takeRetainedValue() })
    word = nil
  }

  /// Leaves the list in an empty word.
  fileprivate consuming func move(to word: inout UnsafeMutableRawPointer?) {
    word = first.map { Unmanaged.passRetained($0).toOpaque() }
  }
}

extension WaiterNode {
  /// Whether the node stands for nobody, and only tells how far to go.
  fileprivate var isFloor: Bool { if case nil = waiter { true } else { false } }
}

/// On top of a callback that blocks, others are told only while so many bytes of stack are left.
private let minimumDeliveryStack = 24 << 10
