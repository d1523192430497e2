/// How threads block in ``Future/result()`` and its like.
public enum BlockingWait {
  /// How long a thread looks for the result before it sleeps; by default 20 µs, which is what it costs to be woken. Zero
  /// for not at all.
  ///
  /// An upper limit: each thread spins less where that has not paid lately. Applies to the whole process; workers that
  /// look for work have their own setting, `spinDuration` of ``ThreadPoolExecutor``. May be read and set on any thread.
  public static var spinDuration: Duration {
    get { .nanoseconds(waitSpinNanoseconds) }
    set { waitSpinNanoseconds = spinNanoseconds(newValue) }
  }
}
