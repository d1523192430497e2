import TestSupport
import Testing

/// Bad input: one line on stderr that names the value and the rule, exit status 64, nothing run.
@Suite struct BadInputTests {
  @Test(arguments: [
    (["--workers", "0"], "'0'", "whole number from 1 to 1024"),
    (["--workers", "-2"], "'-2'", "whole number from 1 to 1024"),
    (["--workers", "many"], "'many'", "whole number from 1 to 1024"),
    (["--limits", "-5"], "'-5'", "whole number from 0 to 4294967295"),
    (["--limits", "100,-5"], "'-5'", "whole number from 0 to 4294967295"),
    (["--limits", "ten"], "'ten'", "whole number from 0 to 4294967295"),
    (["--limits", "1.5"], "'1.5'", "whole number from 0 to 4294967295"),
    (["--limits", "4294967296"], "'4294967296'", "whole number from 0 to 4294967295"),
    (["--limits", "99999999999999999999"], "'99999999999999999999'", "whole number from 0 to 4294967295"),
    (["--limits", ""], "''", "at least one limit"),
    (["--limits", "1,,2"], "''", "whole number from 0 to 4294967295"),
    (["--executor", "gpu"], "'gpu'", "'sequential', 'threads', 'processes' or 'all'"),
    (["--kernel", "avx9"], "'avx9'", "'scalar', 'simd' or 'auto'"),
    (["--kernel", ""], "''", "'scalar', 'simd' or 'auto'"),
    (["--repeat", "0"], "'0'", "whole number from 1"),
    (["--limits"], "--limits", "Missing value"),
    (["--speed", "9"], "--speed", "Unknown option"),
    (["50000"], "'50000'", "Unexpected argument"),
  ])
  func isRefused(arguments: [String], value: String, rule: String) async throws {
    let result = try await runProduct("primes", arguments)
    #expect(result.status == 64)
    #expect(result.output == "")
    #expect(result.errorLines.count == 1)
    #expect(result.errors.hasPrefix("primes: "))
    #expect(result.errors.contains(value))
    #expect(result.errors.contains(rule))
  }
}
