import CWorkerPool

/// The name of a signal with its prefix, such as `SIGKILL`; `signal 40` for one that has no name.
func signalName(_ number: Int32) -> String {
  guard let abbreviation = wp_signal_abbreviation(number) else { return "signal \(number)" }
  return "SIG" + String(cString: abbreviation)
}
