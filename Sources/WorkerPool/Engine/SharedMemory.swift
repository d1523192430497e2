import CWorkerPool
import Glibc

/// Memory that outlives the call that made it and may belong to several processes; freed with the last reference.
@usableFromInline
final class SharedMemory: @unchecked Sendable {
  // SAFETY: all fields are constant, and the functions of wp_process_data.h may be called from any thread. What the
  // bytes hold is for the types above to synchronise, and they say how.
  let address: UnsafeMutableRawPointer
  let byteCount: Int
  let isWritable: Bool
  private let owner: Owner

  enum Owner {
    /// Made by this process, which can give it to its workers.
    case host(OpaquePointer)
    /// Given to this process, a worker.
    case view(OpaquePointer, id: UInt64)
    /// Part of a worker's result buffer.
    case loan(LentBuffer)
    /// Part of the result buffer of the task that runs now, in this worker.
    case block(offset: Int, task: UInt64)
    case heap
  }

  /// How many different memories one task can carry.
  static let maximumPerTask = Int(WP_PROCESS_MAX_SHARED)

  private init(_ address: UnsafeMutableRawPointer, _ byteCount: Int, isWritable: Bool, _ owner: Owner) {
    self.address = address
    self.byteCount = byteCount
    self.isWritable = isWritable
    self.owner = owner
  }

  /// Makes memory, all zero, that workers can be given.
  static func shared(
    byteCount: Int, writableByWorkers: Bool, placement: MemoryPlacement
  ) throws -> SharedMemory {
    var handle: OpaquePointer?
    try placement.asking { placement, refused, error in
      wp_shared_memory_create(max(byteCount, 1), writableByWorkers, &placement, &handle, &refused, &error)
    }
    guard let handle else { throw WorkerPoolError(status: WP_SYSTEM_CALL_FAILED) }
    return SharedMemory(wp_shared_memory_address(handle), byteCount, isWritable: true, .host(handle))
  }

  /// Makes memory of this process alone.
  static func onHeap(byteCount: Int, alignment: Int) -> SharedMemory {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(byteCount, 1), alignment: max(alignment, 16))
    return SharedMemory(memory, byteCount, isWritable: true, .heap)
  }

  /// Makes memory for a result: where the host will read it, if this is a worker and its task has room for it.
  static func forResult(byteCount: Int, alignment: Int) -> SharedMemory {
    var offset = 0
    guard byteCount > WireEncoder.roomThreshold, alignment <= Int(WP_PROCESS_ALIGNMENT),
      let block = wp_process_worker_block(byteCount, &offset)
    else { return onHeap(byteCount: byteCount, alignment: alignment) }
    let task = wp_process_worker_task()
    return SharedMemory(block, byteCount, isWritable: true, .block(offset: offset, task: task))
  }

  static func lent(_ address: UnsafeRawPointer, byteCount: Int, by buffer: LentBuffer) -> SharedMemory {
    SharedMemory(UnsafeMutableRawPointer(mutating: address), byteCount, isWritable: false, .loan(buffer))
  }

  deinit {
    switch owner {
    case .host(let handle): wp_shared_memory_destroy(handle)
    case .view(let view, _): wp_shared_view_release(view)
    case .heap: address.deallocate()
    case .loan, .block: break
    }
  }

  /// What another process finds it by, nil for memory that cannot be shared.
  var id: UInt64? {
    switch owner {
    case .host(let handle): wp_shared_memory_id(handle)
    case .view(_, let id): id
    case .loan, .block, .heap: nil
    }
  }

  /// The engine's handle, for memory that this process can give away.
  var handle: OpaquePointer? {
    if case .host(let handle) = owner { handle } else { nil }
  }

  /// Where the host finds it in the result of the task that runs now; nil for memory elsewhere.
  var blockOffset: Int? {
    guard case .block(let offset, let task) = owner, task == wp_process_worker_task() else { return nil }
    return offset
  }

  /// Whether it still holds what was put there: the room of a worker's task is used again by the next one.
  var isCurrent: Bool {
    if case .block(_, let task) = owner { task == wp_process_worker_task() } else { true }
  }

  /// Memory that was given to this process with a task.
  static func given(id: UInt64) throws -> SharedMemory {
    var error: Int32 = 0
    guard wp_process_worker_index() >= 0, let view = wp_process_worker_view(id, &error) else {
      guard error != 0 else {
        throw WorkerPoolError(code: .coding, message: "shared array number \(id) was not given to this process")
      }
      let reason = String(cString: strerror(error))
      throw WorkerPoolError(
        code: .systemCall, message: "a shared array could not be passed to its worker and mapped there: \(reason)",
        systemCall: WorkerPoolError.SystemCall(name: "mmap", errno: error))
    }
    let isWritable = wp_shared_view_is_writable(view)
    return SharedMemory(
      wp_shared_view_address(view), wp_shared_view_length(view), isWritable: isWritable, .view(view, id: id))
  }
}

/// A worker's result buffer, which the pool leaves alone until this is released.
final class LentBuffer: @unchecked Sendable {
  // SAFETY: `wp_process_loan_release` may be called from any thread, and only `deinit` does.
  private let handle: OpaquePointer

  init?(_ outcome: inout wp_task_outcome) {
    guard let handle = wp_process_pool_lend(&outcome) else { return nil }
    self.handle = handle
  }

  deinit { wp_process_loan_release(handle) }
}

// MARK: - What decoders find memory by

/// In a worker: what came with the task.
final class GivenMemory: WireMemory {
  var isOfSandbox: Bool { false }

  func sharedMemory(id: UInt64) throws -> SharedMemory? { try SharedMemory.given(id: id) }

  func block(at offset: Int, byteCount: Int) throws -> SharedMemory? { nil }
}

/// In the host: what went with the task, and the buffer in which its worker left the result. What the worker says about
/// either is checked.
final class ReplyMemory: WireMemory {
  private let attachments: [SharedMemory]
  private var outcome: wp_task_outcome
  private var buffer: LentBuffer?
  let isOfSandbox: Bool

  init(_ outcome: wp_task_outcome, _ attachments: [SharedMemory], isOfSandbox: Bool) {
    self.outcome = outcome
    self.isOfSandbox = isOfSandbox
    self.attachments = attachments
  }

  func sharedMemory(id: UInt64) throws -> SharedMemory? { attachments.first { $0.id == id } }

  func block(at offset: Int, byteCount: Int) throws -> SharedMemory? {
    guard let start = outcome.buffer, offset >= 0, offset % Int(WP_PROCESS_ALIGNMENT) == 0, byteCount >= 0,
      byteCount <= outcome.buffer_length, offset <= outcome.buffer_length - byteCount
    else { return nil }
    if buffer == nil { buffer = LentBuffer(&outcome) }
    guard let buffer else {
      let copy = SharedMemory.onHeap(byteCount: byteCount, alignment: Int(WP_PROCESS_ALIGNMENT))
      copy.address.copyMemory(from: start + offset, byteCount: byteCount)
      return copy
    }
    return SharedMemory.lent(start + offset, byteCount: byteCount, by: buffer)
  }
}
