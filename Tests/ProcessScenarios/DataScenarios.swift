import Foundation
import WorkerPool

/// The sum that a worker finds in the arrays.
func sum(_ pool: ProcessPoolExecutor, _ job: UseArray) throws -> Int {
  try expectThrown(Sum.self) { try pool.submit(job).result() }.value
}

func runSharedArrays(
  _ method: ProcessPoolExecutor.StartMethod, _ configuration: ProcessPoolExecutor.Configuration = .init()
) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method, configuration: configuration)
  defer { pool.shutdown() }
  let fixed = try SharedArray(0..<1000)
  let open = try SharedArray(repeating: 1, count: 5000, workers: .readWrite)
  let empty = try SharedArray<Int>(repeating: 1, count: 0, workers: .readWrite)
  for _ in 0..<20 { try expectEqual(try sum(pool, UseArray(.sum, fixed, open, empty, fixed)), 2 * 499_500 + 5000) }
  // Both sides see what the other writes, and what comes back is the array that was sent.
  let returned = try pool.submit(UseArray(.double, open)).result()
  try expect(returned.count == 1 && returned[0].isWritable)
  try expect(open.allSatisfy { $0 == 2 } && Array(returned[0]) == Array(open))
  returned[0][7] = 9
  open.withUnsafeMutableBufferPointer { $0[8] = 9 }
  try expectEqual(try sum(pool, UseArray(.sum, open)), 2 * 5000 + 14)
  // A chunk carries each array once.
  let doubled = try pool.map((0..<100).map { _ in UseArray(.double, empty) }, chunkSize: 50)
  try expectEqual(doubled.map { $0[0].count }, Array(repeating: 0, count: 100))
  // A read-only one stays as it is, and who writes to it dies.
  try expectEqual(try sum(pool, UseArray(.force, fixed)), 0)
  try expectError(.workerDied) { try pool.submit(UseArray(.overwrite, fixed)).result() }
  try expectError(.workerDied) { try pool.submit(UseArray(.double, fixed)).result() }
  try expectEqual(Array(fixed), Array(0..<1000))
  // The workers that follow find the arrays as well.
  for _ in 0..<10 { try expectEqual(try sum(pool, UseArray(.sum, open, fixed)), 2 * 5000 + 14 + 499_500) }
  if configuration.sandbox == nil {
    try expectError(.unsupported, saying: "a SharedResult is made for that") {
      try pool.submit(UseArray(.give)).result()
    }
  } else {
    try expectError(.forbiddenCall, saying: "memfd_create") { try pool.submit(UseArray(.give)).result() }
  }
  let many = try (0..<70).map { try SharedArray(repeating: $0, count: 1) }
  try expectError(.invalidArgument, saying: "at most 64 different shared arrays") {
    try pool.map(many.map { UseArray(.double, $0) }, chunkSize: 70)
  }
  var job = UseArray(.sum)
  job.arrays = Array(many[..<64])
  try expectEqual(try sum(pool, job), 63 * 32)
}

/// Arrays come and go, with a pool that goes on: nothing stays, neither here nor in the workers.
func runSharedArrayEnds(_ method: ProcessPoolExecutor.StartMethod) throws {
  let before = try Traces()
  do {
    let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method)
    defer { pool.shutdown() }
    let during = try Traces()
    for number in 0..<10_000 {
      let array = try SharedArray(repeating: number, count: 1, workers: number % 2 == 0 ? .readOnly : .readWrite)
      if number % 10 == 0 { try expectEqual(try sum(pool, UseArray(.sum, array)), number) }
    }
    try expectEqual(try Traces(), during)
    for worker in pool.workerProcessIdentifiers {
      // An idle worker was woken to let go of its last one.
      let limit = ContinuousClock.now + .seconds(20)
      while try contents(of: "/proc/\(worker)/maps").contains("shared-array"), ContinuousClock.now < limit {}
      try expect(try !contents(of: "/proc/\(worker)/maps").contains("shared-array"), "worker \(worker) keeps an array")
    }
  }
  try expectEqual(try Traces(), before)
}

func runSharedResults(_ method: ProcessPoolExecutor.StartMethod) throws {
  let before = try Traces()
  var kept: [SharedResult<Double>] = []
  do {
    let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
    defer { pool.shutdown() }
    for count in [0, 1, 500, 511, 512, 513, 1023, 1025, 131_072, 8_388_608] {
      let job = Ramp(first: 3, count: count)
      try expect(job.isIn(try pool.submit(job).result()), "\(count) elements")
      try expect(job.isIn(job.run()), "\(count) elements made here")
    }
    // More of them held than a worker lends, while a thousand tasks go by.
    for number in 0..<20 { kept.append(try pool.submit(Ramp(first: Double(number), count: 20_000)).result()) }
    let others = (0..<1000).map { Ramp(first: Double($0), count: $0 * 7) }
    let results = try pool.map(others, chunkSize: 3)
    try expect(zip(others, results).allSatisfy { $0.isIn($1) })
    try expectEqual(Array(results[999]), (0..<6993).map { Double($0 + 999) })
    // A block of an earlier task is not there any more.
    try expect(Ramp(count: 100_000).isIn(try pool.submit(KeepResult()).result()))
    try expectError(.workerDied) { try pool.submit(KeepResult()).result() }
    try expectError(.workerDied) { try pool.submit(Die(way: .abort)).result() }
    try expect(Ramp(count: 5000).isIn(try pool.submit(Ramp(count: 5000)).result()))
  }
  for (number, result) in kept.enumerated() { try expect(Ramp(first: Double(number), count: 20_000).isIn(result)) }
  kept = []
  try expectEqual(try Traces(), before)
}

func runLargeData(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 2, startMethod: method, maxPayload: 80 << 20)
  defer { pool.shutdown() }
  let page = 4096
  for count in [0, 1, 60, 80, 81, 112, 113, page - 9, page - 8, page, page + 1, 32 << 10, 1 << 20, 64 << 20] {
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      for index in buffer.indices { buffer[index] = UInt8(truncatingIfNeeded: index &* 31 &+ index / 253) }
      initialized = count
    }
    try expect(try pool.submit(Reverse(bytes: bytes)).result() == bytes.reversed(), "\(count) bytes")
  }
  // Many at once, so that they wait, are copied while others are sent, and are taken over.
  let jobs = (0..<60).map { Reverse(bytes: Array(repeating: UInt8($0), count: 300_000 + $0)) }
  let futures = try jobs.map { try pool.submit($0) }
  let cancelled = futures.indices.filter { $0 % 7 == 3 && futures[$0].cancel() }
  for index in futures.indices where !cancelled.contains(index) {
    try expect(try futures[index].result() == jobs[index].bytes, "job \(index)")
  }
  try expectError(.tooLarge, saying: "the pool's limit is \(80 << 20)") {
    try pool.submit(Blob(count: 81 << 20)).result()
  }
  try expectError(.tooLarge, saying: "the pool's limit is \(80 << 20)") {
    try pool.submit(Ramp(count: 11 << 20)).result()
  }
  try expectError(.tooLarge, saying: "takes \(81 << 20 + 8) bytes") {
    try pool.submit(Reverse(bytes: Array(repeating: 0, count: 81 << 20)))
  }
  try expectEqual(try pool.submit(Square(number: 5)).result(), 25)
}

/// A host without descriptors is told so; what it had submitted ends.
func runOutOfDescriptors(_ method: ProcessPoolExecutor.StartMethod) throws {
  let pool = try ProcessPoolExecutor(maxWorkers: 1, startMethod: method)
  defer { pool.shutdown() }
  let array = try SharedArray(0..<10)
  let earlier = try (0..<10).map { _ in try pool.submit(UseArray(.sum, array)) }
  var limit = rlimit()
  getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  var none = limit
  none.rlim_cur = 3
  setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &none)
  let error = Result { try expectError(.systemCall, saying: "memfd_create") { try SharedArray(0..<10) } }
  let sums = Result { try earlier.map { future in try expectThrown(Sum.self) { try future.result() }.value } }
  let again = Result { try sum(pool, UseArray(.sum, array)) }
  setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
  try expectEqual(try error.get().systemCall?.errno, EMFILE)
  try expectEqual(try sums.get(), Array(repeating: 45, count: 10))
  try expectEqual(try again.get(), 45)
  try expectError(.systemCall) { try SharedArray<UInt8>(count: 1 << 62) { _ in } }
}
