import WorkerPool

/// What was expected and did not happen.
package struct Unmet: Error, CustomStringConvertible {
  package var description: String
  package init(_ description: String, fileID: String = #fileID, line: Int = #line) {
    self.description = "\(fileID):\(line): \(description)"
  }
}

package func expect(
  _ condition: Bool, _ what: @autoclosure () -> String = "not true", fileID: String = #fileID, line: Int = #line
) throws {
  if !condition { throw Unmet(what(), fileID: fileID, line: line) }
}

package func expectEqual<Value: Equatable>(
  _ found: Value, _ expected: Value, fileID: String = #fileID, line: Int = #line
) throws {
  if found != expected { throw Unmet("\(found), not \(expected)", fileID: fileID, line: line) }
}

/// Runs `body`, which has to throw a `WorkerPoolError` with this code and this in its message.
@discardableResult
package func expectError<Result>(
  _ code: WorkerPoolError.Code, saying part: String = "", fileID: String = #fileID, line: Int = #line,
  _ body: () throws -> Result
) throws -> WorkerPoolError {
  do {
    let result = try body()
    throw Unmet("\(result), not an error", fileID: fileID, line: line)
  } catch let error as WorkerPoolError {
    try expectEqual(error.code, code, fileID: fileID, line: line)
    try expect(part.isEmpty || error.message.contains(part), "\(error.message)", fileID: fileID, line: line)
    return error
  }
}

package func expectThrown<Failure: Error, Result>(
  _ type: Failure.Type, fileID: String = #fileID, line: Int = #line, _ body: () throws -> Result
) throws -> Failure {
  do {
    let result = try body()
    throw Unmet("\(result), not an error", fileID: fileID, line: line)
  } catch let error as Failure {
    return error
  } catch {
    throw Unmet("\(error), not a \(type)", fileID: fileID, line: line)
  }
}

/// For a pool that is not the program's first: a sanitizer has threads of its own by then, which are in the way of a
/// fork.
func later(_ method: ProcessPoolExecutor.StartMethod) throws -> ProcessPoolExecutor.StartMethod {
  try method == .fork && privateMemory() > 1 << 40 ? .automatic : method
}
