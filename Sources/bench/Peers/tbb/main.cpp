// oneTBB as a subject of the benchmarks: see ../README.md for the protocol.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <iostream>
#include <latch>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_reduce.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

extern "C" {
#include "prime_kernel.h"
}

namespace {

// Protocol ------------------------------------------------------------------------------------------------------

int64_t now(clockid_t clock) {
  timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

struct Result {
  double wall_ns = 0, cpu_ns = 0;
  std::string more;  // further fields of the JSON line, each with a comma before it
};

template <typename Body>
Result measure(const Body& body) {
  int64_t cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC);
  body();
  int64_t wall_end = now(CLOCK_MONOTONIC), cpu_end = now(CLOCK_PROCESS_CPUTIME_ID);
  return {double(wall_end - wall), double(cpu_end - cpu), ""};
}

std::string field(const char* name, double value) {
  char text[64];
  std::snprintf(text, sizeof text, ", \"%s\": %.1f", name, value);
  return text;
}

void expect(int64_t got, int64_t expected) {
  if (got != expected)
    throw std::runtime_error("got " + std::to_string(got) + ", expected " + std::to_string(expected));
}

[[noreturn]] void fail(const std::string& message, int status) {
  std::printf("{\"error\": \"%s\"}\n", message.c_str());
  std::fflush(stdout);
  std::_Exit(status);
}

int64_t number(const char* name, std::string_view text, int64_t most) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > most)
    fail(std::string(name) + " is '" + std::string(text) + "', but must be from 1 to " + std::to_string(most), 1);
  return value;
}

int64_t resident_bytes() {
  int64_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// Context switches, of either kind, of all threads but the main one.
int64_t worker_switches() {
  int64_t switches = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    if (task.path().filename() == std::to_string(getpid())) continue;
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);)
      if (line.find("ctxt_switches:") != line.npos) switches += std::stoll(line.substr(line.find(':') + 1));
  }
  return switches;
}

// The answers, from a sieve: below[k] is the number of primes less than k.
std::vector<uint32_t> primes_below(size_t limit) {
  std::vector<uint32_t> below(limit + 1, 1);
  for (size_t k = 0; k < std::min<size_t>(2, below.size()); k++) below[k] = 0;
  for (size_t k = 2; k * k <= limit; k++)
    if (below[k])
      for (size_t multiple = k * k; multiple <= limit; multiple += k) below[multiple] = 0;
  std::exclusive_scan(below.begin(), below.end(), below.begin(), 0u);
  return below;
}

// The pool ------------------------------------------------------------------------------------------------------

struct Pool {
  tbb::global_control limit;
  tbb::task_arena arena;
  int workers;

  // TBB counts the thread that waits as one of its workers, so it gets a slot where it takes part and no slot where
  // it only submits. The limit counts it always.
  Pool(int count, unsigned slots_for_main)
      : limit(tbb::global_control::max_allowed_parallelism, size_t(count) + 1),
        arena(count, slots_for_main),
        workers(count) {}
};

using Round = std::function<Result(int64_t)>;

Round fanout(Pool& pool) {
  return [&pool](int64_t n) {
    return measure([&] {
      std::latch done(n);
      for (int64_t i = 0; i < n; i++) pool.arena.enqueue([&done] { done.count_down(); });
      done.wait();
    });
  };
}

Round contend(Pool& pool) {
  return [&pool](int64_t n) {
    return measure([&] {
      std::latch done(n);
      std::vector<std::jthread> threads;
      for (int64_t t = 0; t < 4; t++)
        threads.emplace_back([&pool, &done, begin = n * t / 4, end = n * (t + 1) / 4] {
          for (int64_t i = begin; i < end; i++) pool.arena.enqueue([&done] { done.count_down(); });
        });
      done.wait();
    });
  };
}

// From inside, a task goes to the worker's own deque by task_group::run; enqueue would go through the shared queue.
Round fire_and_forget(Pool& pool) {
  return [&pool](int64_t n) {
    return measure([&] {
      std::latch done(n + 1);
      tbb::task_group group;
      pool.arena.enqueue([&, n] {
        for (int64_t i = 0; i < n; i++) group.run([&done] { done.count_down(); });
        done.count_down();
      });
      done.wait();
      group.wait();
    });
  };
}

int64_t fib(int k) {
  if (k < 2) return k;
  int64_t left = 0;
  tbb::task_group group;
  group.run([&] { left = fib(k - 1); });
  int64_t right = fib(k - 2);
  group.wait();
  return left + right;
}

Round spawn_fib(Pool& pool) {
  return [&pool](int64_t n) {
    int k = 2;
    int64_t value = 1, next = 2;  // fib(k) and fib(k + 1); fib(k) forks fib(k + 1) - 1 times
    for (; value + next - 1 <= n; k++) value = std::exchange(next, value + next);
    int64_t got = 0;
    Result result = measure([&] { pool.arena.execute([&] { got = fib(k); }); });
    expect(got, value);
    double scale = double(n) / double(next - 1);
    result.wall_ns *= scale, result.cpu_ns *= scale;
    return result;
  };
}

Round pingpong(Pool& pool) {
  return [&pool](int64_t n) {
    std::vector<int64_t> trips(static_cast<size_t>(n));
    int64_t sum = 0;
    Result result = measure([&] {
      int64_t begin = now(CLOCK_MONOTONIC);
      for (int64_t i = 0; i < n; i++) {
        std::promise<int64_t> answer;
        pool.arena.enqueue([&answer, i] { answer.set_value(i); });
        sum += answer.get_future().get();
        int64_t end = now(CLOCK_MONOTONIC);
        trips[size_t(i)] = end - std::exchange(begin, end);
      }
    });
    expect(sum, n * (n - 1) / 2);
    std::sort(trips.begin(), trips.end());
    result.more = field("p50_ns", double(trips[size_t(n / 2)])) + field("p99_ns", double(trips[size_t(n * 99 / 100)]));
    return result;
  };
}

Round map_uniform(Pool& pool, int64_t most) {
  auto input = std::make_shared<std::vector<int64_t>>(static_cast<size_t>(most));
  std::iota(input->begin(), input->end(), 1);
  return [&pool, input](int64_t n) {
    std::unique_ptr<int64_t[]> output;
    Result result = measure([&] {
      output = std::make_unique_for_overwrite<int64_t[]>(size_t(n));
      pool.arena.execute([&] {
        tbb::parallel_for(tbb::blocked_range<size_t>(0, size_t(n)), [&](const auto& range) {
          for (size_t i = range.begin(); i != range.end(); i++) output[i] = (*input)[i] * 3;
        });
      });
    });
    expect(std::accumulate(output.get(), output.get() + n, int64_t(0)), 3 * (n * (n + 1) / 2));
    return result;
  };
}

Round map_irregular(Pool& pool, int64_t most) {
  auto below = primes_below(size_t(most) * 500);
  return [&pool, below](int64_t n) {
    std::vector<uint32_t> counts(static_cast<size_t>(n));
    Result result = measure([&] {
      pool.arena.execute([&] {
        // Items so dear are worth a task each.
        tbb::parallel_for(
            tbb::blocked_range<uint32_t>(0, uint32_t(n)),
            [&](const auto& range) {
              for (uint32_t i = range.begin(); i != range.end(); i++) counts[i] = prime_kernel_count(0, 500 * (i + 1));
            },
            tbb::simple_partitioner());
      });
    });
    int64_t expected = 0;
    for (size_t i = 1; i <= size_t(n); i++) expected += below[500 * i];
    expect(std::accumulate(counts.begin(), counts.end(), int64_t(0)), expected);
    return result;
  };
}

Round primes(Pool& pool, int64_t most) {
  int64_t expected = primes_below(size_t(most)).back();
  return [&pool, expected](int64_t n) {
    uint32_t count = 0;
    Result result = measure([&] {
      pool.arena.execute([&] {
        count = tbb::parallel_reduce(
            tbb::blocked_range<uint32_t>(0, uint32_t(n), 4096), 0u,
            [](const auto& range, uint32_t sum) { return sum + prime_kernel_count(range.begin(), range.end()); },
            std::plus<>());
      });
    });
    expect(count, expected);
    return result;
  };
}

Round pending(Pool& pool) {
  auto baseline = std::make_shared<int64_t>(0);
  return [&pool, baseline](int64_t n) {
    std::latch started(pool.workers), gate(1), done(n);
    std::atomic<int64_t> sum = 0;
    double bytes = 0;
    Result result = measure([&] {
      for (int w = 0; w < pool.workers; w++)
        pool.arena.enqueue([&] {
          started.count_down();
          gate.wait();
        });
      started.wait();
      // Before the first round, since later ones find the memory of this one still there.
      if (*baseline == 0) *baseline = resident_bytes();
      struct Counted {
        std::latch& done;
        std::atomic<int64_t>& sum;
      } counted{done, sum};
      for (int64_t i = 0; i < n; i++)
        pool.arena.enqueue([&counted, i] {
          counted.sum.fetch_add(i, std::memory_order_relaxed);
          counted.done.count_down();
        });
      bytes = double(resident_bytes() - *baseline) / double(n);
      gate.count_down();
      done.wait();
    });
    expect(sum, n * (n - 1) / 2);
    result.more = field("bytes", bytes);
    return result;
  };
}

Round idle(Pool& pool) {
  return [work = fanout(pool)](int64_t) {
    work(1000);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // for the way to sleep, which is not idleness
    int64_t switches = worker_switches();
    Result result = measure([] { std::this_thread::sleep_for(std::chrono::seconds(2)); });
    result.more = field("switches", double(worker_switches() - switches));
    return result;
  };
}

void serve(const Round& round, int64_t n, int64_t warm_up) {
  round(warm_up);
  std::puts("ready");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    if (line != "go") fail("a line on stdin is '" + line + "', but must be 'go'", 1);
    Result result = round(n);
    std::printf("{\"wall_ns\": %.0f, \"cpu_ns\": %.0f%s}\n", result.wall_ns, result.cpu_ns, result.more.c_str());
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) fail("there are " + std::to_string(argc - 1) + " arguments, but must be 3: bench workers n", 1);
  std::string_view bench = argv[1];
  int64_t workers = number("workers", argv[2], 1024), n = number("n", argv[3], 1'000'000'000);
  bool fork_join = bench == "spawn-fib" || bench == "map-uniform" || bench == "map-irregular" || bench == "primes";
  Pool pool(int(workers), fork_join ? 1 : 0);
  try {
    if (bench == "fanout") serve(fanout(pool), n, n);
    else if (bench == "contend") serve(contend(pool), n, n);
    else if (bench == "fire-and-forget") serve(fire_and_forget(pool), n, n);
    else if (bench == "spawn-fib") serve(spawn_fib(pool), n, n);
    else if (bench == "pingpong") serve(pingpong(pool), n, n);
    else if (bench == "map-uniform") serve(map_uniform(pool, n), n, n);
    else if (bench == "map-irregular") serve(map_irregular(pool, n), n, n);
    else if (bench == "primes") serve(primes(pool, n), n, n);
    else if (bench == "pending") serve(pending(pool), n, std::min<int64_t>(n, 1000));
    else if (bench == "idle") serve(idle(pool), n, n);
    else fail("unsupported", 2);
  } catch (const std::exception& error) {
    fail(error.what(), 1);
  }
  std::_Exit(0);
}
