// swift-tools-version: 6.1
import PackageDescription

let package = Package(
  name: "swift-worker-pool",
  products: [
    .library(name: "WorkerPool", targets: ["WorkerPool"]),
    .library(name: "CWorkerPool", targets: ["CWorkerPool"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    .systemLibrary(name: "CNuma", path: "CShim/CNuma", pkgConfig: "numa", providers: [.apt(["libnuma-dev"])]),
    .target(
      name: "CWorkerPool",
      dependencies: ["CNuma"],
      path: "CShim/CWorkerPool",
      publicHeadersPath: "include",
      cSettings: [.define("_GNU_SOURCE")],
      linkerSettings: [.linkedLibrary("numa")]),
    .target(name: "WorkerPool", dependencies: ["CWorkerPool"]),

    // Drivers for what Swift cannot import: the engine's inner structures.
    .target(
      name: "CStress", dependencies: ["CWorkerPool"], path: "Tests/CStress",
      cSettings: [.define("_GNU_SOURCE"), .headerSearchPath("../../CShim/CWorkerPool/include")]),
    .testTarget(name: "QueueTests", dependencies: ["CStress"]),
    .testTarget(name: "ParkingTests", dependencies: ["CStress"]),
    // Semaphores, threads and readings of /proc for the tests above the queues.
    .target(name: "TestSupport", dependencies: ["CStress"], path: "Tests/TestSupport"),
    .testTarget(name: "ThreadEngineTests", dependencies: ["CWorkerPool", "CStress", "TestSupport"]),
    .testTarget(name: "FutureTests", dependencies: ["WorkerPool", "TestSupport"]),
    .testTarget(name: "ThreadExecutorTests", dependencies: ["WorkerPool", "TestSupport"]),
    .testTarget(name: "AsyncTests", dependencies: ["WorkerPool", "TestSupport"]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)
