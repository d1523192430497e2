import CStress
import CWorkerPool
import Testing
import ThreadTestSupport

/// How long a job waits in each place of the table in thread/wp_fairness.h while the injector is never empty. One test at a
/// time: each keeps the machine busy.
@Suite(.serialized, .timeLimit(.minutes(5))) struct FairnessTests {
  @Test(arguments: [1, 2] as [UInt32]) func theOwnOldestBehindAChain(workers: UInt32) {
    check(CS_OWN_OLDEST, workers: workers)
  }

  @Test(arguments: [1, 2] as [UInt32]) func theInjectorBehindChains(workers: UInt32) {
    check(CS_INJECTOR, workers: workers)
  }

  @Test func theInjectorOfANodeWithoutWorkers() { check(CS_OTHER_NODE, machine: .withFarMemory) }
  @Test func theDequeOfALongJob() { check(CS_OF_LONG_JOB) }
  @Test func theDequeOfALongJobOnAnotherNode() { check(CS_OF_LONG_JOB, machine: .withFarMemory) }
  @Test func theDequeOfABlockedWorker() { check(CS_OF_BLOCKED) }
  @Test func theDequeOfABenchedSpare() { check(CS_OF_BENCHED) }
  @Test func theDequeOfAWorkerThatHasEnded() { check(CS_OF_ENDED) }
  @Test(arguments: [1, 2] as [UInt32]) func aside(workers: UInt32) { check(CS_ASIDE, workers: workers) }
  @Test func aFork() { check(CS_FORK) }
  @Test func behindALongJob() { check(CS_BEHIND_LONG_JOB, samples: 15) }
  @Test func whatWasPutBack() { check(CS_PUT_BACK, samples: 15) }

  /// By the clock the machine's other load counts, too, and whether anybody ran at all.
  private func check(
    _ place: cs_place, workers: UInt32 = 2, samples: UInt32 = 40, machine: MachineFiles? = nil,
    location: SourceLocation = #_sourceLocation
  ) {
    // Two busy workers for each sample, beside all other tests.
    let samples = runsUnderSanitizer ? max(4, samples / 8) : samples
    let waits = cs_flood_and_wait(place, workers, samples, machine.map { UnsafeRawPointer($0.source) })
    let seen = Comment(rawValue: "\(waits)")
    #expect(waits.counted >= samples / 2, seen, sourceLocation: location)
    #expect(waits.lost == 0, seen, sourceLocation: location)
    #expect(waits.median_ms <= 50, seen, sourceLocation: location)
    #expect(waits.worst_ms <= 250, seen, sourceLocation: location)
    #expect(waits.median_by_clock_ms <= 500, seen, sourceLocation: location)
  }
}
