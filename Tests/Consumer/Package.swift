// swift-tools-version: 6.1
// A package that depends on WorkerPool as a user's would; it holds the code that the README shows.
import PackageDescription

let package = Package(
  name: "consumer",
  dependencies: [.package(name: "swift-worker-pool", path: "../..")],
  targets: [
    .target(
      name: "ConsumerJobs",
      dependencies: [
        .product(name: "WorkerPool", package: "swift-worker-pool"),
        .product(name: "WorkerPoolFoundation", package: "swift-worker-pool"),
      ]),
    .executableTarget(
      name: "consumer",
      dependencies: ["ConsumerJobs", .product(name: "WorkerPool", package: "swift-worker-pool")]),
    // A pool in the process of a test runner, as users' tests make it, with either library.
    .testTarget(
      name: "SwiftTestingTests",
      dependencies: ["ConsumerJobs", .product(name: "WorkerPool", package: "swift-worker-pool")]),
    .testTarget(
      name: "XCTests", dependencies: ["ConsumerJobs", .product(name: "WorkerPool", package: "swift-worker-pool")]),
  ],
  swiftLanguageModes: [.v6]
)
