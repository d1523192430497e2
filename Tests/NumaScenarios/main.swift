import WorkerPool
let pool = try ThreadPoolExecutor(maxWorkers: 4, affinity: .spread)
print(try pool.map(0..<100) { $0 * 2 }.reduce(0, +))
