/// A piece of work as a value: what to do, what it needs, and what comes out.
///
/// A job can be submitted to every ``JobExecutor``, so that a program moves from threads to processes by changing one
/// line. On threads it is passed as it is; to another process it travels as bytes, in the way that its ``WireCodable``
/// conformance says.
///
/// ```swift
/// struct CountPrimes: Job, BitwiseWireCodable {
///   var limit: UInt32
///   func run() -> Int { countPrimes(below: limit) }
/// }
///
/// let pool = try ProcessPoolExecutor(maxWorkers: 4)
/// let counts = try pool.map([CountPrimes(limit: 50_000), CountPrimes(limit: 60_000)])
/// ```
///
/// A worker process finds the type by name, so it can be neither `private` nor declared inside a function; an
/// executor of processes refuses such a job when it is submitted.
public protocol Job: WireCodable, Sendable {
  /// What the job returns; ``NoValue`` for nothing.
  associatedtype Output: WireCodable & Sendable

  /// Does the work, on a thread of the executor or in a process of it. What it throws comes out of the future.
  func run() throws -> Output
}
