// swift-tools-version: 6.1
// A package of its own: it compares with C at -O3, and a package that others depend on may have no unsafe flags.
import PackageDescription

let package = Package(
  name: "bench",
  dependencies: [
    .package(name: "swift-worker-pool", path: "../.."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.80.0"),
  ],
  targets: [
    .systemLibrary(name: "CLinux"),
    .target(
      name: "CPrimeKernel",
      cSettings: [.unsafeFlags(["-O3"])],
      linkerSettings: [.linkedLibrary("m")]),
    // The folder of the library's target PrimeWorkload, by a link: it is no product, and target names are unique.
    .target(
      name: "BenchedPrimes",
      dependencies: [
        .product(name: "WorkerPool", package: "swift-worker-pool"),
        .product(name: "_CPrimeVectors", package: "swift-worker-pool"),
      ],
      path: "Sources/PrimeWorkload"),
    // What is made of the measurements: statistics, tables, floors, charts. Measures nothing itself.
    .target(name: "BenchReport"),
    .testTarget(name: "BenchReportTests", dependencies: ["BenchReport"]),
    // When requests arrive.
    .target(name: "OfferedLoad"),
    .testTarget(name: "OfferedLoadTests", dependencies: ["OfferedLoad"]),
    .executableTarget(
      name: "bench",
      dependencies: [
        "BenchReport",
        "CLinux",
        "CPrimeKernel",
        "BenchedPrimes",
        "OfferedLoad",
        .product(name: "WorkerPool", package: "swift-worker-pool"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "NIOPosix", package: "swift-nio"),
      ]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)
