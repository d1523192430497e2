import CWorkerPool

// What a worker process does with a task: find the function, read the input, run, write the result or the error.
//
// A worker is the fork of a single-threaded template and runs its tasks on one thread, so that what stands here
// needs no lock and may use all of Swift's runtime.

/// Values of the reply code that tell the host how to read the reply.
enum ReplyCode {
  static let output: UInt32 = 0
  static let error: UInt32 = 1
}

enum ProcessWorker {
  // SAFETY: touched by `handle` alone, which runs on the one thread of a worker process.
  nonisolated(unsafe) private static var jobTypes: [(any Job.Type)?] = []
  // SAFETY: as above. Which worker start `jobTypes` belongs to.
  nonisolated(unsafe) private static var knownStart: UInt32 = 0
  // SAFETY: as above. Kept, because every task needs them.
  nonisolated(unsafe) private static let room = ReplyRoom()
  nonisolated(unsafe) private static let memory = GivenMemory()

  /// Runs one task. Passed to the engine as the pool's handler.
  static func handle(_ request: wp_process_request, _ reply: OpaquePointer) {
    room.reply = reply
    var encoder = WireEncoder(room: room)
    do {
      try run(request, &encoder)
      try checkResult(encoder)
      wp_process_reply_set_code(reply, ReplyCode.output)
    } catch {
      encoder.reset()
      ErrorCoding.encode(error, into: &encoder)
      if wp_process_reply_reserve(reply, encoder.byteCount) == nil {
        ErrorCoding.encode(error, into: &encoder, limit: room.open().count)
      }
      wp_process_reply_set_code(reply, ReplyCode.error)
    }
    encoder.withUnsafeBytes { bytes in
      // No room: the engine has noted it, and the host hears of both sizes.
      guard let target = wp_process_reply_reserve(reply, bytes.count), let source = bytes.baseAddress else { return }
      // Equal when the encoder has gone on in the reply's room.
      if target != source { target.copyMemory(from: source, byteCount: bytes.count) }
    }
  }

  private static func checkResult(_ encoder: borrowing WireEncoder) throws {
    guard encoder.attachments.isEmpty else {
      throw WorkerPoolError(
        code: .unsupported,
        message: "a worker cannot return a SharedArray that it made itself; a SharedResult is made for that")
    }
  }

  private static func run(_ request: wp_process_request, _ encoder: inout WireEncoder) throws {
    let code = TaskCode(rawValue: request.function)
    let bytes = UnsafeRawBufferPointer(start: request.bytes, count: request.bytes == nil ? 0 : request.length)
    switch code.kind {
    case .job:
      let type = try jobType(code.index)
      try WorkerTask(bytes: bytes, memory: memory, name: .job(type)).run(type, isChunk: code.isChunk, &encoder)
    case .function:
      guard let function = FunctionTable.function(at: Int(code.index)) else {
        throw WorkerPoolError(
          code: .unsupported, message: "the worker has fewer function handles than the program that made its pool")
      }
      let task = WorkerTask(bytes: bytes, memory: memory, name: .function(function.name))
      try function.run(task, code.isChunk, &encoder)
    }
  }

  /// The type of jobs with this index; found by name once, then by index (8 ns).
  private static func jobType(_ code: UInt32) throws -> any Job.Type {
    let index = Int(code)
    if knownStart != wp_process_worker_starts() {
      // A pool that a worker has forked inherits that worker's table, in which its numbers mean other types.
      knownStart = wp_process_worker_starts()
      jobTypes = []
    }
    if jobTypes.indices.contains(index), let known = jobTypes[index] { return known }
    var length = 0
    guard let bytes = wp_process_worker_name(code, &length) else {
      throw WorkerPoolError(code: .unresolvableType, message: "the worker has no type name number \(index)")
    }
    let name = String(decoding: UnsafeRawBufferPointer(start: bytes, count: length), as: UTF8.self)
    guard let type = TypeName.type(named: name) as? any Job.Type else {
      throw WorkerPoolError(
        code: .unresolvableType, message: "the worker finds no job type with the mangled name \(name)")
    }
    while jobTypes.count <= index { jobTypes.append(nil) }
    jobTypes[index] = type
    return type
  }
}

/// The part of a task's result buffer that its blocks leave.
private final class ReplyRoom: WireRoom {
  var reply: OpaquePointer?

  func open() -> UnsafeMutableRawBufferPointer {
    guard let reply else { return UnsafeMutableRawBufferPointer(start: nil, count: 0) }
    var capacity = 0
    let start = wp_process_reply_room(reply, &capacity)
    return UnsafeMutableRawBufferPointer(start: start, count: capacity)
  }
}

/// The C side of ``ProcessWorker/handle(_:_:)``. A function and not a stored value: a re-executed template asks for it
/// before `main`.
func processWorkerHandler() -> wp_process_handler {
  return { _, request, reply in ProcessWorker.handle(request.pointee, reply) }
}

/// Asked for by the engine in a re-executed template. Defining it is what makes that start method available to
/// every program that links this module.
// swift-format-ignore: AlwaysUseLowerCamelCase
@c @implementation
func wp_process_reexec_handler() -> wp_process_handler? {
  processWorkerHandler()
}
