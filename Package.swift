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
    // A C program that links the engine alone; its one thread can be forked, as a test runner's cannot.
    .executableTarget(
      name: "process-engine-check", dependencies: ["CWorkerPool"], path: "Tests/ProcessEngineCheck",
      cSettings: [.define("_GNU_SOURCE")]),
    .testTarget(name: "ProcessEngineTests", dependencies: ["CWorkerPool"]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)
