import CWorkerPool
import Foundation
import Testing

@Suite struct QuotaTests {
  @Test(arguments: [
    ("cgroup-none", 0, 64),
    ("cgroup-v1-docker", 2, 2),  // 1.5 CPUs; the mount's root is the process's own group
    ("cgroup-v1-nested", 3, 3),  // 2.5 CPUs, set on the parent alone
    ("cgroup-v1-k8s", 1, 1),  // 0.4 CPUs
    ("cgroup-v2-nested", 4, 4),  // 3.5 on the grandparent, 6 on the group
    ("cgroup-v2-unlimited", 0, 64),
    ("cgroup-v2-namespace", 3, 3),
    ("cgroup-v2-k8s", 4, 4),  // 3.00001 on the container, 8 on its pod
    ("cgroup-hybrid", 5, 5),  // v1 holds the cpu controller, v2 has none
    ("cgroup-outside", 7, 7),  // the mount shows a group that is not named as ours
    ("cgroup-v1-k8s-host", 7, 7),  // the host's mount; 6.2 CPUs on the pod, -1 above and below it
    ("cgroup-v2-k8s-host", 6, 6),  // likewise; 5.5 on the pod, "max" above and below it
    ("cgroup-hybrid-nested", 11, 11),  // 10.5 on the parent in v1, 12 on the group, a deeper path in v2
    ("cgroup-hybrid-v2-cpu", 13, 13),  // v1 holds others; 12.5 on the parent in v2
    ("cgroup-v1-unmounted", 0, 64),
    ("cgroup-above-namespace", 9, 9),  // the mount is older than the namespace
    ("laptop", 0, 64),  // no /proc at all
  ])
  func resolves(fixture: String, quota: Int, granted: Int) throws {
    let machine = try Machine(fixture: fixture, affinity: "40-103")
    #expect(machine.quota == quota)
    #expect(machine.granted == granted)
  }

  @Test(arguments: [("0-7", 3), ("0-1", 2), ("0", 1)])
  func grantsTheSmallerOfMaskAndQuota(affinity: String, granted: Int) throws {
    #expect(try Machine(fixture: "cgroup-v2-namespace", affinity: affinity).granted == granted)
  }

  /// The contents of cpu.max, or of the v1 pair as "quota/period".
  @Test(arguments: [
    ("max 100000\n", 0), ("100000 100000\n", 1), ("100001 100000\n", 2), ("1 1000000\n", 1),
    ("max\n", 0), ("", 0), ("\n", 0), ("100000", 0), ("100000 \n", 0), ("0 100000\n", 0), ("5 0\n", 0),
    ("-1 100000\n", 0), ("1e5 100000\n", 0), ("400000 100000 7\n", 0), ("99999999999999999999 100000\n", 0),
    ("18446744073709551615 1\n", 0), ("4\u{0} 2\n", 0),
    ("-1/100000", 0), ("150000/100000\n", 2), ("150000\n/\n", 0), ("/100000", 0), ("x/100000", 0), ("150000/0", 0),
  ])
  func readsQuotaFiles(text: String, quota: Int) throws {
    let made = try MadeMachine()
    let parts = text.split(separator: "/", omittingEmptySubsequences: false)
    let isV1 = parts.count == 2
    let type = isV1 ? "cgroup cgroup rw,cpu" : "cgroup2 cgroup2 rw"
    try made.write(isV1 ? "1:cpu:/a\n" : "0::/a\n", to: "proc/self/cgroup")
    try made.write("31 23 0:28 / /cg rw - \(type)\n", to: "proc/self/mountinfo")
    if isV1 {
      try made.write(String(parts[0]), to: "cg/a/cpu.cfs_quota_us")
      try made.write(String(parts[1]), to: "cg/a/cpu.cfs_period_us")
    } else {
      try made.write(text, to: "cg/a/cpu.max")
    }
    let machine = try Machine(root: made.root, affinity: "0-63")
    #expect(machine.quota == quota)
    #expect(machine.granted == (quota == 0 ? 64 : quota))
  }

  /// `0::/box/a:b` seen through one line of mountinfo; the quota of 2 stands in `/box/a:b`, one of 1 beside the way.
  @Test(arguments: [
    ("31 23 0:28 / /cg rw - cgroup2 cgroup2 rw", 2),
    ("31 23 0:28 / /cg/ rw shared:1 master:2 unbindable - cgroup2 cgroup2 rw", 2),
    ("31 23 0:28 /box /cg/box rw - cgroup2 cgroup2 rw", 2),
    ("31 23 0:28 /box/a:b /cg/box/a:b rw - cgroup2 cgroup2 rw", 2),
    ("31 23 0:28 / /with\\040blank\\134 rw - cgroup2 cgroup2 rw", 3),
    ("31 23 0:28 /bo /decoy rw - cgroup2 c rw\n32 23 0:28 / /cg rw - cgroup2 c rw", 2),
    ("31 23 0:28 /bo /decoy rw - cgroup2 cgroup2 rw", 1),  // nothing shows our group: the mount's own quota
    ("31 23 0:28 / /decoy rw - tmpfs cgroup2 rw\n31 23 0:28 / /decoy rw - cgroup cgroup rw,cpuset,cpuacct", 0),
    ("31 23 0:28 / /decoy rw shared:1 cgroup2 cgroup2 rw", 0),  // no "-"
    ("31 23 0:28 / decoy rw - cgroup2 cgroup2 rw", 0),  // relative
    ("31 23 0:28 / /deco\\171\\000 rw - cgroup2 cgroup2 rw", 0),
    ("31 23 0:28 / /decoy", 0), ("31", 0), ("\n\n\n", 0), ("", 0),
  ])
  func findsTheGroupThroughMountinfo(mountinfo: String, quota: Int) throws {
    let made = try MadeMachine()
    try made.write("1:cpu:/\n0::/box/a:b\n", to: "proc/self/cgroup")
    try made.write(mountinfo, to: "proc/self/mountinfo")
    try made.write("200000 100000\n", to: "cg/box/a:b/cpu.max")
    try made.write("300000 100000\n", to: "with blank\\/cpu.max")
    for file in ["cpu.cfs_quota_us", "cpu.cfs_period_us"] { try made.write("100000\n", to: "decoy/\(file)") }
    try made.write("100000 100000\n", to: "decoy/cpu.max")
    #expect(try Machine(root: made.root, affinity: "0-63").quota == quota)
  }

  @Test(arguments: [
    ("0::/box\n", 2), ("0::/box/gone (deleted)\n", 2), ("0::/../other\n", 9), ("0::/box/../box\n", 9),
    ("0::/\n", 9), ("0::box\n", 0), ("0:cpu:/box\n", 0), ("cpu\n:::\n", 0), ("", 0),
  ])
  func readsMembership(cgroup: String, quota: Int) throws {
    let made = try MadeMachine()
    try made.write(cgroup, to: "proc/self/cgroup")
    try made.write("31 23 0:28 / /cg rw - cgroup2 cgroup2 rw\n", to: "proc/self/mountinfo")
    try made.write("900000 100000\n", to: "cg/cpu.max")
    try made.write("200000 100000\n", to: "cg/box/cpu.max")
    #expect(try Machine(root: made.root, affinity: "0-63").quota == quota)
  }

  /// Files beyond their bounds do not limit.
  @Test func ignoresOversizedFiles() throws {
    let made = try MadeMachine(copying: "cgroup-v2-namespace")
    #expect(try Machine(root: made.root, affinity: "0-63").quota == 3)
    try made.write(Array(repeating: UInt8(ascii: "1"), count: 5000), to: "sys/fs/cgroup/cpu.max")
    #expect(try Machine(root: made.root, affinity: "0-63").quota == 0)
    try made.write("100000 100000\n", to: "sys/fs/cgroup/cpu.max")
    try made.write(String(repeating: "0::/\n", count: 20_000), to: "proc/self/cgroup")
    #expect(try Machine(root: made.root, affinity: "0-63").quota == 0)
    try made.write("0::/" + String(repeating: "a/", count: 3000), to: "proc/self/cgroup")
    #expect(try Machine(root: made.root, affinity: "0-63").quota == 0)
  }

  /// Without a mountinfo that can be read, or with one too large to be believed, the usual places are looked at.
  @Test(
    arguments: [
      ("0::/a\n", "sys/fs/cgroup/a/cpu.max", "300000 100000"),
      ("2:cpu:/a\n", "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "300000"),
      ("2:cpu,cpuacct:/a\n", "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000"),
    ], [false, true])
  func looksInTheUsualPlaces(files: (cgroup: String, path: String, quota: String), huge: Bool) throws {
    let made = try MadeMachine()
    try made.write(files.cgroup, to: "proc/self/cgroup")
    try made.write(files.quota, to: files.path)
    try made.write("100000", to: files.path.replacing("quota", with: "period").replacing("cpu.max", with: "unused"))
    if huge { try made.write(Array(repeating: UInt8(ascii: "\n"), count: 5 << 20), to: "proc/self/mountinfo") }
    #expect(try Machine(root: made.root, affinity: "0-63").quota == 3)
  }
}
