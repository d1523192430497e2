/// Swift tasks on the pool's threads.
///
/// ```swift
/// let task = Task(executorPreference: pool) { await work() }
/// await withTaskExecutorPreference(pool) { await work() }
/// ```
///
/// Code that prefers the pool runs on its workers wherever Swift would otherwise use the cooperative pool, child tasks
/// included; actors with executors of their own keep them. A job costs no allocation beyond the task's own: it is itself
/// what stands in the queue.
///
/// Keep the pool alive and open as long as such tasks run. After a shutdown their jobs go to Swift's own threads instead,
/// since a task, unlike a ``Future``, cannot be refused.
extension ThreadPoolExecutor: TaskExecutor {
  public func enqueue(_ job: consuming ExecutorJob) {
    engine.enqueue(UnownedJob(job))
  }
}
