import Glibc

/// Runs `body` on a thread of its own, or, where none can be had, here: for calls that block, made for async code.
///
/// Used once in the life of a pool, which is why no thread is kept for it.
func runOnDetachedThread(_ body: @escaping @Sendable () -> Void) {
  final class Box {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  let box = Unmanaged.passRetained(Box(body))
  var all = sigset_t()
  var previous = sigset_t()
  sigfillset(&all)
  // The thread inherits the mask: signals of the program go to the program's threads.
  pthread_sigmask(SIG_SETMASK, &all, &previous)
  defer { pthread_sigmask(SIG_SETMASK, &previous, nil) }
  var thread = pthread_t()
  let status = pthread_create(
    &thread, nil,
    { argument in
      guard let argument else { return nil }
      Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
      return nil
    }, box.toOpaque())
  if status == 0 {
    pthread_detach(thread)
  } else {
    box.takeRetainedValue().body()
  }
}
