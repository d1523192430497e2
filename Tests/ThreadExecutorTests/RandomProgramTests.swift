import TestSupport
import Testing
import ThreadTestSupport

/// Random programs over thread pools, in a process of their own, which ends when one hangs. `make soak` is the long form.
@Suite struct RandomProgramTests {
  /// The same ones each time, and some that nobody has run.
  @Test(.timeLimit(.minutes(10)), arguments: [["run", "0", "300"], ["seconds", "5"]])
  func allOfThemEnd(_ arguments: [String]) async throws {
    let result = try await runProduct("ThreadPrograms", arguments)
    #expect(result.status == 0, "\(result)")
  }

  /// The same seed gives the same program, or a failure could not be looked into.
  @Test func aSeedSaysTheProgram() async throws {
    let programs = [
      try await runProduct("ThreadPrograms", ["show", "17"]), try await runProduct("ThreadPrograms", ["show", "17"]),
    ]
    #expect(programs[0].output.hasPrefix("seed 17: "))
    #expect(programs[0].output == programs[1].output)
  }

  @Test(arguments: [
    (["walk"], "usage: "), (["run", "1"], "usage: "), (["seconds", "0"], "0: seconds have to be a number above 0"),
    (["run", "x", "1"], "x: a seed has to be a whole number"), (["show", "-1"], "-1: a seed has to be a whole number"),
  ])
  func theProgramSaysWhatItCannotDo(_ arguments: [String], _ message: String) async throws {
    let result = try await runProduct("ThreadPrograms", arguments)
    #expect(result.status == 64)
    #expect(result.output.hasPrefix(message), "\(result)")
  }
}
