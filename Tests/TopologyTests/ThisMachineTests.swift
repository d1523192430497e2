import CNuma
import CWorkerPool
import Foundation
import Testing
import WorkerPool

/// The machine that the tests run on, against what others say about it. Serialised: one test narrows its thread's mask.
@Suite(.serialized) struct ThisMachineTests {
  /// "Cpus_allowed_list:\t0-1" of the calling thread: the kernel's own print of the affinity mask.
  static func allowedList() throws -> String {
    let status = try String(contentsOfFile: "/proc/thread-self/status", encoding: .utf8)
    let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list:") })
    return String(try #require(line.split(separator: "\t").last))
  }

  static func members(of list: String) -> [Int] {
    list.split(whereSeparator: { $0 == "," || $0.isNewline }).flatMap { range in
      let ends = range.split(separator: "-").compactMap { Int($0) }
      return Array(ends[0]...ends[ends.count - 1])
    }
  }

  static func nproc() throws -> Int {
    // Without its environment, since OMP_NUM_THREADS changes its answer. Foundation's Process leaks a weak reference.
    let pipe = try #require(popen("env -i nproc", "r"))
    var line = [CChar](repeating: 0, count: 32)
    let hasLine = fgets(&line, Int32(line.count), pipe) != nil
    #expect(pclose(pipe) == 0)
    try #require(hasLine)
    let digits = line.prefix { $0 != 0 && $0 != 10 }.map { UInt8($0) }
    return try #require(Int(String(decoding: digits, as: UTF8.self)))
  }

  @Test func agreesWithNprocAndTheKernel() throws {
    let machine = try Machine(root: nil)
    #expect(try machine.cpus.count == Self.nproc())
    // The mask as it was set may name CPUs that are offline.
    let online = try Self.members(of: String(contentsOfFile: "/sys/devices/system/cpu/online", encoding: .utf8))
    #expect(try machine.cpus == Self.members(of: Self.allowedList()).filter(Set(online).contains))
    #expect((1...machine.cpus.count).contains(machine.granted))
    let bounds = [machine.cpus.count, machine.quota, machine.override].filter { $0 > 0 }
    #expect(machine.granted == bounds.min())
    #expect(machine.onlineCount == online.count)
    try MalformedTests.checkConsistency(machine)
  }

  @Test func readsTheSameFilesAsAFixture() throws {
    // The same /sys under another name is a fixture, for which libnuma is not asked: both must agree.
    let link = try MadeMachine()
    let path = link.root.appending(path: "sys").path
    try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/sys")
    let machine = try Machine(root: nil)
    let fixture = try Machine(root: link.root)
    #expect(machine.cpuNodes == fixture.cpuNodes)
    #expect(machine.nodes == fixture.nodes)
    #expect(machine.distances == fixture.distances)
    #expect(machine.memory == fixture.memory)
    #expect(machine.siblings == fixture.siblings)
    #expect(machine.sockets == fixture.sockets)
    #expect(machine.caches == fixture.caches)
    #expect(machine.nodeOnlineCounts == fixture.nodeOnlineCounts)
  }

  @Test func followsTheMaskOfTheCallingThread() throws {
    let all = try Machine(root: nil).cpus
    let last = try #require(all.last)
    let original = numa_allocate_cpumask()!
    let narrow = numa_allocate_cpumask()!
    defer {
      numa_sched_setaffinity(0, original)
      numa_bitmask_free(original)
      numa_bitmask_free(narrow)
    }
    try #require(numa_sched_getaffinity(0, original) > 0)
    numa_bitmask_setbit(narrow, UInt32(last))
    try #require(numa_sched_setaffinity(0, narrow) == 0)
    let machine = try Machine(root: nil)
    #expect(machine.cpus == [last])
    #expect(machine.granted == 1)
    #expect(machine.siblings == [])
  }

  /// With its details, and by a pool that then starts a worker for each CPU.
  @Test func readsItWithin2Milliseconds() throws {
    #expect(try fastest { _ = try CPUTopology.current() } < limit(2))
    var pools: [OpaquePointer] = []
    defer { for pool in pools { wp_thread_pool_release(pool) } }
    let start = try fastest {
      var pool: OpaquePointer?
      try #require(wp_thread_pool_create(nil, &pool, nil) == WP_OK)
      pools.append(pool!)
    }
    #expect(start < limit(2))
  }

  @Test func agreesWithLibnuma() throws {
    try #require(numa_available() >= 0)
    var topology = try CPUTopology.current()
    // A balloon may change the memory while it is compared.
    var memory: [Int]
    repeat {
      topology = try CPUTopology.current()
      memory = topology.nodes.map { Int(numa_node_size64(Int32($0.id), nil)) }
    } while try CPUTopology.current().nodes.map(\.memory) != topology.nodes.map(\.memory)
    // It says -1 of a node without memory.
    #expect(topology.nodes.map(\.memory) == memory.map { max($0, 0) })
    #expect(topology.nodes.last.map(\.id) == Int(numa_max_node()))
    for cpu in topology.cpus { #expect(cpu.node == Int(numa_node_of_cpu(Int32(cpu.id)))) }
    for from in topology.nodes {
      #expect(from.distances == topology.nodes.map { Int(numa_distance(Int32(from.id), Int32($0.id))) })
    }
  }

  @Test func manyThreadsMayReadAtOnce() {
    DispatchQueue.concurrentPerform(iterations: 32) { _ in
      do {
        try MalformedTests.checkConsistency(try Machine(root: nil))
      } catch {
        Issue.record(error)
      }
    }
  }
}
