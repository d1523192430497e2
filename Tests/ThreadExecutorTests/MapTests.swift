import Testing
import ThreadTestSupport
import WorkerPool

private struct Failure: Error, Equatable {
  var number: Int
}

@Suite struct MapTests {
  @Test(arguments: [nil, 1, 7, 1000, 100_000]) func outputsKeepTheOrder(chunkSize: Int?) throws {
    try withThreadPoolExecutor(maxWorkers: 3) { pool in
      for count in [0, 1, 2, 999, 1000, 1001] {
        let calls = Counter()
        let squares = try pool.map(0..<count, chunkSize: chunkSize) { number in
          calls.add()
          return number * number
        }
        #expect(squares == (0..<count).map { $0 * $0 })
        #expect(calls.value == count)
      }
    }
  }

  @Test(arguments: [0, -1]) func badChunkSizesAreNamed(size: Int) throws {
    try withThreadPoolExecutor(maxWorkers: 1) { pool in
      for attempt in [
        { _ = try pool.map([1], chunkSize: size) { $0 } }, { _ = try pool.mapLazily([1], chunkSize: size) { $0 } },
      ] {
        let error = #expect(throws: WorkerPoolError.self) { try attempt() }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains("\(size)") == true)
      }
    }
  }

  @Test func theFirstErrorInOrderIsThrown() throws {
    try withThreadPoolExecutor(maxWorkers: 2) { pool in
      let running = Counter()
      for chunkSize in [nil, 1, 10] {
        #expect(throws: Failure(number: 300)) {
          try pool.map(0..<1000, chunkSize: chunkSize) { number in
            running.add()
            defer { running.add(-1) }
            if number >= 300 { throw Failure(number: number) }
          }
        }
        #expect(running.value == 0)
      }
      let same = try pool.map([1, 2]) { $0 }
      #expect(same == [1, 2])  // the pool is as good as before
    }
  }

  /// Two elements that wait for each other.
  @Test func elementsRunBesideEachOther() throws {
    try withThreadPoolExecutor(maxWorkers: 2) { pool in
      let gates = [Semaphore(), Semaphore()]
      _ = try pool.map(0..<2) { index in
        gates[index].signal()
        gates[1 - index].wait()
      }
    }
  }

  @Test func mapMayBeNested() throws {
    for workers in [1, 2] {
      try withThreadPoolExecutor(maxWorkers: workers) { pool in
        let sums = try pool.map(0..<20) { row in
          try pool.map(0..<20) { column in row * column }.reduce(0, +)
        }
        #expect(sums == (0..<20).map { $0 * 190 })
      }
    }
  }

  @Test func afterTheShutdownNothingIsMapped() throws {
    let pool = try ThreadPoolExecutor(maxWorkers: 1)
    pool.shutdown()
    let error = #expect(throws: WorkerPoolError.self) { try pool.map([1]) { $0 } }
    #expect(error?.code == .shutDown)
  }

  @Test func suspendedMapsKeepTheOrderAndCanBeCancelled() async throws {
    try await withThreadPoolExecutor(maxWorkers: 1) { pool in
      let next = try await pool.map(0..<500, chunkSize: 3) { $0 + 1 }
      #expect(next == Array(1...500))
      await #expect(throws: Failure(number: 3)) {
        try await pool.map(0..<10) { if $0 >= 3 { throw Failure(number: $0) } }
      }
      let gate = Semaphore()
      let began = Promise<Void>()
      let ran = Counter()
      let task = Task {
        try await pool.map(0..<1000, chunkSize: 1) { _ in
          ran.add()
          began.succeed(())
          gate.wait()
        }
      }
      try await began.future.value
      task.cancel()
      await #expect(throws: CancellationError.self) { try await task.value }
      gate.signal(1000)
      await pool.shutdown()
      #expect(ran.value == 1)
    }
  }

  // MARK: Lazily

  @Test func lazyOutputsAreBoundedAhead() throws {
    try withThreadPoolExecutor(maxWorkers: 2) { pool in
      let pulled = Counter()
      let endless = sequence(state: 0) { (next: inout Int) -> Int? in
        pulled.add()
        next += 1
        return next
      }
      let results = try pool.mapLazily(endless, chunkSize: 2) { -$0 }
      #expect(pulled.value == 0)
      var seen: [Int] = []
      for result in AnySequence(results) {
        seen.append(try result.get())
        if seen.count == 100 { break }
      }
      #expect(seen == (1...100).map { -$0 })
      #expect(pulled.value < 300)
    }
  }

  @Test func lazyFailuresStandInTheirPlaces() async throws {
    try await withThreadPoolExecutor(maxWorkers: 2) { pool in
      var seen: [Int] = []
      let results = try pool.mapLazily(0..<100, chunkSize: 3) { number in
        if number % 10 == 0 { throw Failure(number: number) }
        return number
      }
      for await result in results {
        switch result {
        case .success(let number): seen.append(number)
        case .failure(let error): seen.append(-(error as! Failure).number)
        }
      }
      #expect(seen == (0..<100).map { $0 % 10 == 0 ? -$0 : $0 })
    }
  }
}

@Suite struct ScopeTests {
  @Test func theScopeEndsItsPool() throws {
    let ran = Counter()
    let future = try withThreadPoolExecutor(maxWorkers: 2, name: "scope") { pool in
      #expect(pool.maxWorkers == 2)
      for _ in 0..<100 { try pool.execute { ran.add() } }
      return try pool.submit { ran.add() }
    }
    #expect(future.state == .finished)
    #expect(ran.value == 101)
    #expect(eventually { threads(named: "scope-").isEmpty })
  }

  @Test func anErrorEndsItToo() throws {
    let ran = Counter()
    #expect(throws: Failure(number: 1)) {
      try withThreadPoolExecutor(maxWorkers: 1, name: "scopeerr") { pool in
        for _ in 0..<100 { try pool.execute { ran.add() } }
        throw Failure(number: 1)
      }
    }
    #expect(ran.value == 100)
    #expect(eventually { threads(named: "scopeerr-").isEmpty })
    #expect(throws: WorkerPoolError.self) { try withThreadPoolExecutor(maxWorkers: 0) { _ in } }
  }

  @Test func suspended() async throws {
    let ran = Counter()
    let sum = try await withThreadPoolExecutor(maxWorkers: 2, name: "scopeasy") { pool in
      for _ in 0..<100 { try pool.execute { ran.add() } }
      return try await pool.run { 1 } + pool.run { 2 }
    }
    #expect(sum == 3)
    #expect(ran.value == 100)
    await #expect(throws: Failure(number: 2)) {
      try await withThreadPoolExecutor(maxWorkers: 1, name: "scopeasy") { pool in
        try pool.execute { ran.add() }
        _ = try await pool.run { throw Failure(number: 2) }
      }
    }
    #expect(ran.value == 101)
    #expect(eventually { threads(named: "scopeasy-").isEmpty })
  }
}
