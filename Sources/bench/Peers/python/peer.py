"""The pools of concurrent.futures as subjects of the benchmarks: see ../README.md for the protocol.

Usage: peer.py libkernel.so|- thread|process|process-chunked bench workers n
  -                for benches that do not call the kernel
  process-chunked  maps with as many chunks as ours, and not with the default of one item each
"""

import ctypes
import json
import math
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

libc = ctypes.CDLL(None)
kernel = None  # set before the workers are forked
workers = None  # of the pool
LARGE_RESULT = bytes(k * 31 % 256 for k in range(1 << 20))
REPETITIONS = 4  # of each count of primes, in the benches of processes


# Protocol


class Failure(Exception):
    def __init__(self, message, status=1):
        super().__init__(message)
        self.status = status


def say(line):
    print(line, flush=True)


def number(name, text, most):
    if not (text.isdecimal() and 1 <= int(text) <= most):
        raise Failure(f"{name} is '{text}', but must be from 1 to {most}")
    return int(text)


def expect(got, expected):
    if got != expected:
        raise Failure(f"got {got}, expected {expected}")


def processes():
    return [os.getpid()] + [child.pid for child in multiprocessing.active_children()]


def cpu_ns(pid):
    clock = ctypes.c_int()
    if libc.clock_getcpuclockid(pid, ctypes.byref(clock)) != 0:
        raise Failure(f"process {pid} has no CPU clock")
    return time.clock_gettime_ns(clock.value)


def measure(body):
    pids = processes()
    cpu = sum(map(cpu_ns, pids))
    wall = time.monotonic_ns()
    value = body()
    wall = time.monotonic_ns() - wall
    return value, {"wall_ns": wall, "cpu_ns": sum(map(cpu_ns, pids)) - cpu}


def worker_switches():
    """Context switches, of either kind, of all threads but the main one of this process."""
    statuses = [path for pid in processes() for path in Path(f"/proc/{pid}/task").glob("*/status")]
    lines = [line for path in statuses if path.parent.name != str(os.getpid()) for line in path.read_text().split("\n")]
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches:" in line)


def primes_below(limit):
    """The answers, from a sieve: element k is the number of primes less than k."""
    prime = bytearray([0, 0]) + bytearray([1]) * (limit - 1)
    for k in range(2, int(limit**0.5) + 1):
        if prime[k]:
            prime[k * k :: k] = bytes(len(range(k * k, limit + 1, k)))
    return list(accumulate(prime[:limit], initial=0))


# The pools


def identity(value):
    return value


def count_primes(block):
    return kernel.prime_kernel_count(*block)


def fanout_future(pool, n):
    def body():
        futures = [pool.submit(identity, i) for i in range(n)]
        return sum(future.result() for future in futures)

    total, measured = measure(body)
    expect(total, n * (n - 1) // 2)
    return measured


def pingpong(pool, n):
    trips = []

    def body():
        total = 0
        begin = time.monotonic_ns()
        for i in range(n):
            total += pool.submit(identity, i).result()
            end = time.monotonic_ns()
            trips.append(end - begin)
            begin = end
        return total

    total, measured = measure(body)
    expect(total, n * (n - 1) // 2)
    trips.sort()
    return measured | {"p50_ns": trips[n // 2], "p99_ns": trips[n * 99 // 100]}


def map_irregular(pool, n):
    total, measured = measure(lambda: sum(pool.map(count_primes, [(0, 500 * i) for i in range(1, n + 1)])))
    below = primes_below(500 * n)
    expect(total, sum(below[500 * i] for i in range(1, n + 1)))
    return measured


def primes(pool, n):
    block = 32768  # a task takes some milliseconds, many times what it costs to send
    blocks = [(begin, min(n, begin + block)) for begin in range(0, n, block)]
    total, measured = measure(lambda: sum(pool.map(count_primes, blocks)))
    expect(total, primes_below(n)[n])
    return measured


def process_map(pool, n, chunksize=1):
    total, measured = measure(lambda: sum(pool.map(identity, range(n), chunksize=chunksize)))
    expect(total, n * (n - 1) // 2)
    return measured


def process_map_chunked(pool, n):
    return process_map(pool, n, chunksize=math.ceil(n / (4 * workers)))


def large_result(_):
    return LARGE_RESULT


def process_payload(pool, n):
    def body():
        for _ in range(n):
            result = pool.submit(large_result, 0).result()
        return result

    result, measured = measure(body)
    expect(result == LARGE_RESULT, True)
    return measured


def process_primes(pool, n):
    block = 32768
    blocks = REPETITIONS * [(begin, min(n, begin + block)) for begin in range(0, n, block)]
    total, measured = measure(lambda: sum(pool.map(count_primes, blocks)))
    expect(total, REPETITIONS * primes_below(n)[n])
    return measured


def is_prime(number):
    if number < 2:
        return False
    for divisor in range(2, math.isqrt(number) + 1):
        if number % divisor == 0:
            return False
    return True


def count_below(limit):
    return sum(map(is_prime, range(limit)))


def process_seed(pool, n):
    counts, measured = measure(lambda: list(pool.map(count_below, REPETITIONS * [n])))
    expect(counts, REPETITIONS * [primes_below(n)[n]])
    return measured


def idle(pool, _):
    fanout_future(pool, 1000)
    time.sleep(0.1)  # for the way to sleep, which is not idleness
    switches = worker_switches()
    _, measured = measure(lambda: time.sleep(2))
    return measured | {"switches": worker_switches() - switches}


# A closure cannot be sent to a process, and threads of Python do not run Python code at the same time.
OFFERS = {
    "thread": (ThreadPoolExecutor, {"fanout-future": fanout_future, "pingpong": pingpong, "idle": idle}),
    "process": (
        ProcessPoolExecutor,
        {
            "fanout-future": fanout_future,
            "pingpong": pingpong,
            "map-irregular": map_irregular,
            "primes": primes,
            "idle": idle,
            "process-fanout": fanout_future,
            "process-pingpong": pingpong,
            "process-map": process_map,
            "process-payload": process_payload,
            "process-primes": process_primes,
            "process-seed": process_seed,
        },
    ),
    "process-chunked": (ProcessPoolExecutor, {"process-map": process_map_chunked}),
}


def main():
    global kernel, workers
    if len(sys.argv) != 6:
        raise Failure(f"there are {len(sys.argv) - 1} arguments, but must be 5: library kind bench workers n")
    library, kind, name, workers, n = sys.argv[1:]
    if kind not in OFFERS:
        raise Failure(f"kind is '{kind}', but must be one of {', '.join(OFFERS)}")
    executor, benches = OFFERS[kind]
    workers, n = number("workers", workers, 1024), number("n", n, 1_000_000_000)
    if name not in benches:
        raise Failure("unsupported", status=2)
    bench = benches[name]
    if library != "-":
        kernel = ctypes.CDLL(library)
        kernel.prime_kernel_count.argtypes = [ctypes.c_uint32, ctypes.c_uint32]
        kernel.prime_kernel_count.restype = ctypes.c_uint32

    with executor(workers) as pool:
        bench(pool, n)
        say("ready")
        for line in sys.stdin:
            if line != "go\n":
                raise Failure(f"a line on stdin is '{line.strip()}', but must be 'go'")
            say(json.dumps(bench(pool, n)))


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        say(json.dumps({"error": str(failure)}))
        sys.exit(failure.status)
