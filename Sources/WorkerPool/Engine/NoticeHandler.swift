import CWorkerPool

/// The handler of Swift behind the one of C, which is the same function for all of them: a closure that is replaced while
/// it is being called lives until it returns.
enum NoticeHandler {
  private static let stored = Locked<PlacementNotice.Handler?>(PlacementNotice.printToStandardError)

  static var current: PlacementNotice.Handler? {
    get { stored.withLock { $0 } }
    set {
      // What is replaced may run anything when it goes, so not with the lock held.
      let replaced = stored.withLock { handler in
        defer { handler = newValue }
        return handler
      }
      wp_set_notice_handler({ _, notice in NoticeHandler.current?(PlacementNotice(notice.pointee)) }, nil)
      withExtendedLifetime(replaced) {}
    }
  }

  static func print(_ notice: PlacementNotice) {
    notice.message.withCString { message in
      var notice = wp_notice(kind: WP_NOTICE_MEMORY_NOT_PLACED, system_errno: notice.errno ?? 0, message: message)
      wp_notice_print(nil, &notice)
    }
  }
}

extension PlacementNotice {
  init(_ notice: wp_notice) {
    kind =
      switch notice.kind {
      case WP_NOTICE_MEMORY_NOT_PLACED: .memoryNotPlaced
      case WP_NOTICE_CPU_GONE: .cpuGone
      case WP_NOTICE_AFFINITY_NOT_SET: .affinityNotSet
      case WP_NOTICE_NO_NUMA: .noNUMA
      case WP_NOTICE_ENVIRONMENT_IGNORED: .environmentIgnored
      case WP_NOTICE_WORKER_NOT_STARTED: .workerNotStarted
      case WP_NOTICE_TEMPLATE_REEXECUTED: .templateReexecuted
      default: .other
      }
    message = String(cString: notice.message)
    errno = notice.system_errno == 0 ? nil : notice.system_errno
  }
}
