import TestSupport
import Testing

/// Pools whose processes are killed and stopped at random, in a program of their own. `make chaos` is the long form.
@Suite(.serialized) struct ChaosTests {
  @Test(.timeLimit(.minutes(4)), arguments: ["fork", "reexec"])
  func everyTaskEndsOnce(_ method: String) async throws {
    let result = try await runProduct("ProcessChaos", [method, "5"])
    #expect(result.status == 0, "\(result)")
  }

  @Test(arguments: [
    (["spoon", "1"], "usage: "), (["fork"], "usage: "), (["fork", "0"], "0: seconds have to be a number above 0"),
    (["fork", "1", "x"], "x: a seed has to be a whole number"),
  ])
  func theProgramSaysWhatItCannotDo(_ arguments: [String], _ message: String) async throws {
    let result = try await runProduct("ProcessChaos", arguments)
    #expect(result.status == 64)
    #expect(result.output.hasPrefix(message), "\(result)")
  }
}
