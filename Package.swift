// swift-tools-version: 6.1
import PackageDescription

let argumentParser: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "swift-worker-pool",
  products: [
    .library(name: "WorkerPool", targets: ["WorkerPool"]),
    .library(name: "WorkerPoolFoundation", targets: ["WorkerPoolFoundation"]),
    .library(name: "CWorkerPool", targets: ["CWorkerPool"]),
    // For the package in Sources/bench, which shares the sources of PrimeWorkload.
    .library(name: "_CPrimeVectors", targets: ["CPrimeVectors"]),
    .executable(name: "primes", targets: ["primes"]),
    .executable(name: "process-pool", targets: ["ProcessPoolExample"]),
    .executable(name: "crash-isolation", targets: ["CrashIsolationExample"]),
    .executable(name: "futures", targets: ["FuturesExample"]),
    .executable(name: "async-bridge", targets: ["AsyncBridgeExample"]),
  ],
  traits: [
    .trait(name: "Sandbox", description: "Sandboxes for worker processes; needs libseccomp (Debian: libseccomp-dev).")
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    .systemLibrary(name: "CNuma", path: "CShim/CNuma", pkgConfig: "numa", providers: [.apt(["libnuma-dev"])]),
    .systemLibrary(
      name: "CSeccomp", path: "CShim/CSeccomp", pkgConfig: "libseccomp", providers: [.apt(["libseccomp-dev"])]),
    .target(
      name: "CWorkerPool",
      dependencies: ["CNuma", .target(name: "CSeccomp", condition: .when(traits: ["Sandbox"]))],
      path: "CShim/CWorkerPool",
      publicHeadersPath: "include",
      cSettings: [.define("_GNU_SOURCE"), .define("WP_SANDBOX", .when(traits: ["Sandbox"]))],
      linkerSettings: [.linkedLibrary("numa"), .linkedLibrary("seccomp", .when(traits: ["Sandbox"]))]),
    .target(name: "WorkerPool", dependencies: ["CWorkerPool"]),
    .target(name: "WorkerPoolFoundation", dependencies: ["WorkerPool"]),
    // What the fuzzer calls and the tests call once more; the fuzzer itself is compiled by its run.sh.
    .target(
      name: "WireFuzz", dependencies: ["WorkerPool", "WorkerPoolFoundation"], path: "Tests/WireFuzz",
      exclude: ["Fuzz.swift", "corpus", "run.sh"]),
    .testTarget(
      name: "WireTests", dependencies: ["WorkerPool", "WorkerPoolFoundation", "WireFuzz"], exclude: ["Fixtures"]),

    // Drivers for what Swift cannot import: the engine's inner structures.
    .target(
      name: "CStress", dependencies: ["CWorkerPool"], path: "Tests/CStress",
      cSettings: [.define("_GNU_SOURCE"), .headerSearchPath("../../CShim/CWorkerPool/include")]),
    .testTarget(name: "QueueTests", dependencies: ["CStress"]),
    .testTarget(name: "ParkingTests", dependencies: ["CStress"]),
    // Semaphores, threads and readings of /proc for the tests above the queues.
    .target(name: "ThreadTestSupport", dependencies: ["CStress"], path: "Tests/ThreadTestSupport"),
    .testTarget(name: "ThreadEngineTests", dependencies: ["CWorkerPool", "CStress", "ThreadTestSupport"]),
    .testTarget(name: "FutureTests", dependencies: ["WorkerPool", "ThreadTestSupport"]),
    // Run in a process of its own, whose memory no other test changes; for a minute or more by `make soak`.
    .executableTarget(name: "ThreadSoak", dependencies: ["WorkerPool", "ThreadTestSupport"], path: "Tests/ThreadSoak"),
    // Random programs over thread pools, in a process of their own, which ends when one hangs; for a minute or more by
    // `make soak`.
    .executableTarget(
      name: "ThreadPrograms", dependencies: ["WorkerPool", "ThreadTestSupport"], path: "Tests/ThreadPrograms",
      exclude: ["faults", "faults.sh"]),
    // Forks, in a process of its own.
    .executableTarget(name: "ForkScenarios", dependencies: ["WorkerPool", "CStress"], path: "Tests/ForkScenarios"),
    .testTarget(
      name: "ThreadExecutorTests",
      dependencies: [
        "WorkerPool", "CWorkerPool", "CStress", "ForkScenarios", "ThreadPrograms", "ThreadSoak", "ThreadTestSupport",
        "TestSupport",
      ]),
    .testTarget(name: "AsyncTests", dependencies: ["WorkerPool", "ThreadTestSupport"]),
    // Run by the tests in processes of their own, where a pool can be forked.
    .executableTarget(
      name: "ProcessScenarios", dependencies: ["WorkerPool", "WorkerPoolFoundation", "ThreadTestSupport"],
      path: "Tests/ProcessScenarios"),
    // Kills the processes of a pool under load; for a minute with each start method by `make chaos`.
    .executableTarget(
      name: "ProcessChaos", dependencies: ["WorkerPool", "ThreadTestSupport"], path: "Tests/ProcessChaos"),
    .testTarget(
      name: "ProcessExecutorTests",
      dependencies: ["WorkerPool", "WorkerPoolFoundation", "ProcessChaos", "ProcessScenarios", "TestSupport"]),
    .testTarget(
      name: "TopologyTests", dependencies: ["WorkerPool", "CWorkerPool", "CNuma", "TestSupport", "ThreadTestSupport"],
      exclude: ["Fixtures"]),

    // Placed memory and notices, in processes of their own: a C program that links the engine alone and can deny placement
    // to itself and others, and one in Swift.
    .executableTarget(
      name: "memory-check", dependencies: ["CWorkerPool"], path: "Tests/MemoryCheck",
      cSettings: [.define("_GNU_SOURCE"), .headerSearchPath("../../CShim/CWorkerPool/include")]),
    .executableTarget(name: "MemoryScenarios", dependencies: ["WorkerPool"], path: "Tests/MemoryScenarios"),
    .testTarget(name: "MemoryTests", dependencies: ["WorkerPool", "memory-check", "MemoryScenarios", "TestSupport"]),
    // Run by `make test-numa` in emulated machines of several nodes.
    .executableTarget(
      name: "NumaScenarios", dependencies: ["WorkerPool", "CStress", "ThreadTestSupport"], path: "Tests/NumaScenarios"),

    // The programs and what they compute.
    .target(name: "CPrimeVectors", path: "CShim/CPrimeVectors"),
    .target(name: "PrimeWorkload", dependencies: ["CPrimeVectors", "WorkerPool"]),
    .executableTarget(name: "primes", dependencies: ["PrimeWorkload", "WorkerPool", argumentParser]),
    .executableTarget(
      name: "ProcessPoolExample", dependencies: ["PrimeWorkload", "WorkerPool"], path: "Sources/Examples/ProcessPool"),
    .executableTarget(
      name: "CrashIsolationExample", dependencies: ["WorkerPool"], path: "Sources/Examples/CrashIsolation"),
    .executableTarget(
      name: "FuturesExample", dependencies: ["WorkerPool", argumentParser], path: "Sources/Examples/Futures"),
    .executableTarget(name: "AsyncBridgeExample", dependencies: ["WorkerPool"], path: "Sources/Examples/AsyncBridge"),
    .target(name: "TestSupport", dependencies: ["WorkerPool"], path: "Tests/TestSupport"),
    .testTarget(name: "PrimeWorkloadTests", dependencies: ["CPrimeVectors", "PrimeWorkload"]),
    .testTarget(name: "PrimesCLITests", dependencies: ["PrimeWorkload", "primes", "TestSupport"]),
    .testTarget(
      name: "ExampleTests",
      dependencies: [
        "ProcessPoolExample", "CrashIsolationExample", "FuturesExample", "AsyncBridgeExample", "TestSupport",
      ]),
    // A C program that links the engine alone; its one thread can be forked, as a test runner's cannot.
    .executableTarget(
      name: "process-engine-check", dependencies: ["CWorkerPool"], path: "Tests/ProcessEngineCheck",
      cSettings: [.define("_GNU_SOURCE"), .define("WP_SANDBOX", .when(traits: ["Sandbox"]))]),
    .testTarget(name: "ProcessEngineTests", dependencies: ["CWorkerPool", "TestSupport"]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)
