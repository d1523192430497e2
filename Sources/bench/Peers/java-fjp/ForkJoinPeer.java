// Java's ForkJoinPool as a subject of the benchmarks: see ../README.md for the protocol.

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ForkJoinPool;
import java.util.concurrent.ForkJoinTask;
import java.util.concurrent.RecursiveAction;
import java.util.concurrent.RecursiveTask;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.LongStream;

public final class ForkJoinPeer {
  // Protocol ----------------------------------------------------------------------------------------------------------

  private static native long cpuNanos();

  private static native int countPrimes(int lower, int upper);

  private interface Body {
    void run() throws Exception;
  }

  private interface Round {
    Measured run(int n) throws Exception;
  }

  private record Measured(double wall, double cpu, String more) {
    Measured with(String name, double value) {
      return new Measured(wall, cpu, more + String.format(", \"%s\": %.1f", name, value));
    }

    Measured scaled(double factor) {
      return new Measured(wall * factor, cpu * factor, more);
    }
  }

  private static Measured measure(Body body) throws Exception {
    long cpu = cpuNanos(), wall = System.nanoTime();
    body.run();
    long wallEnd = System.nanoTime();
    return new Measured(wallEnd - wall, cpuNanos() - cpu, "");
  }

  private static void fail(String message, int status) {
    System.out.println("{\"error\": \"" + message + "\"}");
    System.out.flush();
    Runtime.getRuntime().halt(status);
  }

  private static void expect(long got, long expected) {
    if (got != expected) fail("got " + got + ", expected " + expected, 1);
  }

  private static int number(String name, String text, int most) {
    try {
      int value = Integer.parseInt(text);
      if (value >= 1 && value <= most) return value;
    } catch (NumberFormatException error) {
      // said below
    }
    fail(name + " is '" + text + "', but must be from 1 to " + most, 1);
    return 0;
  }

  private static long usedHeap() {
    System.gc();
    return Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
  }

  // Context switches, of either kind, of all threads but this one and the one that started the JVM.
  private static long workerSwitches() throws IOException {
    String self = Files.readSymbolicLink(Path.of("/proc/thread-self")).getFileName().toString();
    String starter = String.valueOf(ProcessHandle.current().pid());
    long switches = 0;
    try (var tasks = Files.newDirectoryStream(Path.of("/proc/self/task"))) {
      for (Path task : tasks) {
        String name = task.getFileName().toString();
        if (name.equals(self) || name.equals(starter)) continue;
        for (String line : Files.readAllLines(task.resolve("status"))) {
          if (line.contains("ctxt_switches:")) switches += Long.parseLong(line.split("\\s+")[1]);
        }
      }
    }
    return switches;
  }

  // The answers, from a sieve: element k is the number of primes less than k.
  private static int[] primesBelow(int limit) {
    var composite = new boolean[limit + 1];
    var below = new int[limit + 1];
    int count = 0;
    for (int k = 0; k <= limit; k++) {
      below[k] = count;
      if (k < 2 || composite[k]) continue;
      count++;
      for (long multiple = (long) k * k; multiple <= limit; multiple += k) composite[(int) multiple] = true;
    }
    return below;
  }

  // The pool ----------------------------------------------------------------------------------------------------------

  private final ForkJoinPool pool;

  private ForkJoinPeer(int workers) {
    pool = new ForkJoinPool(workers);
  }

  private void submit(CountDownLatch done, int count) {
    for (int i = 0; i < count; i++) pool.execute(() -> done.countDown());
  }

  private Measured fanout(int n) throws Exception {
    return measure(() -> {
      var done = new CountDownLatch(n);
      submit(done, n);
      done.await();
    });
  }

  private Measured contend(int n) throws Exception {
    return measure(() -> {
      var done = new CountDownLatch(n);
      for (long t = 0; t < 4; t++) {
        int count = (int) (n * (t + 1) / 4 - n * t / 4);
        new Thread(() -> submit(done, count)).start();
      }
      done.await();
    });
  }

  private Measured fireAndForget(int n) throws Exception {
    return measure(() -> {
      var done = new CountDownLatch(n);
      pool.execute(() -> submit(done, n));
      done.await();
    });
  }

  private Measured fanoutFuture(int n) throws Exception {
    var sum = new AtomicLong();
    var measured = measure(() -> {
      var futures = new ArrayList<ForkJoinTask<Integer>>(n);
      for (int i = 0; i < n; i++) {
        int value = i;
        futures.add(pool.submit(() -> value));
      }
      long total = 0;
      for (var future : futures) total += future.join();
      sum.set(total);
    });
    expect(sum.get(), n * (n - 1L) / 2);
    return measured;
  }

  private static final class Fib extends RecursiveAction {
    private static final long serialVersionUID = 1;
    private final int k;
    private long result; // instead of RecursiveTask<Long>, which would box it

    Fib(int k) {
      this.k = k;
    }

    @Override
    protected void compute() {
      if (k < 2) {
        result = k;
        return;
      }
      var left = new Fib(k - 1);
      left.fork();
      var right = new Fib(k - 2);
      right.compute();
      left.join();
      result = left.result + right.result;
    }
  }

  private Measured spawnFib(int n) throws Exception {
    int k = 2;
    long value = 1, next = 2; // fib(k) and fib(k + 1); fib(k) forks fib(k + 1) - 1 times
    for (; value + next - 1 <= n; k++) {
      long sum = value + next;
      value = next;
      next = sum;
    }
    var root = new Fib(k);
    var measured = measure(() -> pool.invoke(root));
    expect(root.result, value);
    return measured.scaled(n / (next - 1.0));
  }

  private Measured pingpong(int n) throws Exception {
    var trips = new long[n];
    var sum = new AtomicLong();
    var measured = measure(() -> {
      long total = 0, begin = System.nanoTime();
      for (int i = 0; i < n; i++) {
        int value = i;
        total += pool.submit(() -> value).join();
        long end = System.nanoTime();
        trips[i] = end - begin;
        begin = end;
      }
      sum.set(total);
    });
    expect(sum.get(), n * (n - 1L) / 2);
    Arrays.sort(trips);
    return measured.with("p50_ns", trips[n / 2]).with("p99_ns", trips[(int) (n * 99L / 100)]);
  }

  private Round mapUniform(int n) {
    long[] input = LongStream.rangeClosed(1, n).toArray();
    var output = new long[1][];
    return count -> {
      var measured = measure(() ->
          output[0] = pool.submit(() -> Arrays.stream(input, 0, count).parallel().map(x -> x * 3).toArray()).join());
      expect(Arrays.stream(output[0]).sum(), 3 * (count * (count + 1L) / 2));
      return measured;
    };
  }

  private interface Count {
    int of(int index);
  }

  // Sums over begin..<end, one task for each index. A parallel stream would make four leaves a worker, as uneven as
  // their items are.
  private static final class Sum extends RecursiveTask<Long> {
    private static final long serialVersionUID = 1;
    private final int begin, end;
    private final transient Count count;

    Sum(int begin, int end, Count count) {
      this.begin = begin;
      this.end = end;
      this.count = count;
    }

    @Override
    protected Long compute() {
      if (end - begin == 1) return (long) count.of(begin);
      int middle = (begin + end) >>> 1;
      var left = new Sum(begin, middle, count);
      left.fork();
      return new Sum(middle, end, count).compute() + left.join();
    }
  }

  private Round sum(int expected, int tasks, Count count) {
    return n -> {
      var sum = new AtomicLong();
      var measured = measure(() -> sum.set(pool.invoke(new Sum(0, tasks, count))));
      expect(sum.get(), expected);
      return measured;
    };
  }

  private Round mapIrregular(int n) {
    var below = primesBelow(500 * n);
    int expected = 0;
    for (int i = 1; i <= n; i++) expected += below[500 * i];
    return sum(expected, n, i -> countPrimes(0, 500 * (i + 1)));
  }

  private Round primes(int n) {
    int block = 4096;
    return sum(primesBelow(n)[n], (n + block - 1) / block, i -> countPrimes(i * block, Math.min(n, (i + 1) * block)));
  }

  private Round pending(int warmUp, boolean withFuture) throws Exception {
    Round round = new Round() {
      private long baseline;

      @Override
      public Measured run(int n) throws Exception {
        int workers = pool.getParallelism();
        var started = new CountDownLatch(workers);
        var gate = new CountDownLatch(1);
        var done = new CountDownLatch(n);
        var sum = new AtomicLong();
        var bytes = new double[1];
        var futures = new ForkJoinTask<?>[withFuture ? n : 0]; // made first, so it does not count
        var measured = measure(() -> {
          for (int w = 0; w < workers; w++) {
            pool.execute(() -> {
              started.countDown();
              try {
                gate.await();
              } catch (InterruptedException error) {
                throw new IllegalStateException(error);
              }
            });
          }
          started.await();
          long before = usedHeap();
          // Before the first round, less the array of futures, since a queue that has grown does not shrink.
          if (baseline == 0) baseline = before - 4L * futures.length;
          var counted = new Object() {
            void add(int i) {
              sum.addAndGet(i);
              done.countDown();
            }
          };
          for (int i = 0; i < n; i++) {
            int value = i;
            Runnable task = () -> counted.add(value);
            if (withFuture) futures[i] = pool.submit(task);
            else pool.execute(task);
          }
          bytes[0] = (usedHeap() - baseline - 4L * futures.length) / (double) n;
          gate.countDown();
          done.await();
        });
        expect(sum.get(), n * (n - 1L) / 2);
        return measured.with("bytes", bytes[0]);
      }
    };
    round.run(warmUp);
    return round;
  }

  private Measured idle() throws Exception {
    fanout(1000);
    Thread.sleep(100); // for the way to sleep, which is not idleness
    long switches = workerSwitches();
    var measured = measure(() -> Thread.sleep(2000));
    return measured.with("switches", workerSwitches() - switches);
  }

  // A JIT is warm when it has compiled what it runs: two seconds, or two rounds if they take longer.
  private static Round warm(Round round, int n) throws Exception {
    long begin = System.nanoTime();
    for (int rounds = 0; rounds < 2 || System.nanoTime() - begin < 2_000_000_000L; rounds++) round.run(n);
    return round;
  }

  private Round find(String bench, int n) throws Exception {
    return switch (bench) {
      case "fanout" -> warm(this::fanout, n);
      case "contend" -> warm(this::contend, n);
      case "fire-and-forget" -> warm(this::fireAndForget, n);
      case "fanout-future" -> warm(this::fanoutFuture, n);
      case "spawn-fib" -> warm(this::spawnFib, n);
      case "pingpong" -> warm(this::pingpong, n);
      case "map-uniform" -> warm(mapUniform(n), n);
      case "map-irregular" -> warm(mapIrregular(n), n);
      case "primes" -> warm(primes(n), n);
      case "pending", "pending-future" -> pending(Math.min(n, 1000), bench.equals("pending-future"));
      case "idle" -> {
        fanout(1000);
        yield count -> idle();
      }
      default -> {
        fail("unsupported", 2);
        yield null;
      }
    };
  }

  public static void main(String[] arguments) throws Exception {
    if (arguments.length != 3) {
      fail("there are " + arguments.length + " arguments, but must be 3: bench workers n", 1);
    }
    System.loadLibrary("kernel");
    int workers = number("workers", arguments[1], 1024);
    int n = number("n", arguments[2], 1_000_000_000);
    Round round = new ForkJoinPeer(workers).find(arguments[0], n);
    System.out.println("ready");
    var lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      if (!line.equals("go")) fail("a line on stdin is '" + line + "', but must be 'go'", 1);
      var measured = round.run(n);
      System.out.printf("{\"wall_ns\": %.0f, \"cpu_ns\": %.0f%s}%n", measured.wall, measured.cpu, measured.more);
      System.out.flush();
    }
    Runtime.getRuntime().halt(0);
  }
}
