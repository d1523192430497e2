//! Rayon as a subject of the benchmarks: see ../README.md for the protocol.
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::fs;
use std::io::{stdin, stdout, BufRead, Write};
use std::process::exit;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

// Protocol -----------------------------------------------------------------------------------------------------------

#[derive(Default)]
struct Measured {
    wall_ns: f64,
    cpu_ns: f64,
    more: Vec<(&'static str, f64)>,
}

type Round = Box<dyn FnMut(usize) -> Measured>;

fn cpu_ns() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock exists on every Linux, and `time` outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

fn measure<T>(body: impl FnOnce() -> T) -> (T, Measured) {
    let (cpu, wall) = (cpu_ns(), Instant::now());
    let value = body();
    let (wall_ns, cpu_ns) = (wall.elapsed().as_nanos() as f64, cpu_ns() - cpu);
    (value, Measured { wall_ns, cpu_ns, more: vec![] })
}

fn say(line: &str) {
    let mut out = stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("stdout is open");
}

fn fail(message: &str, status: i32) -> ! {
    say(&format!("{{\"error\": \"{message}\"}}"));
    exit(status)
}

fn expect(got: i64, expected: i64) {
    if got != expected {
        fail(&format!("got {got}, expected {expected}"), 1)
    }
}

fn number(name: &str, text: &str, most: usize) -> usize {
    match text.parse() {
        Ok(value) if (1..=most).contains(&value) => value,
        _ => fail(&format!("{name} is '{text}', but must be from 1 to {most}"), 1),
    }
}

fn resident_bytes() -> f64 {
    let sizes = fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
    let pages: f64 = sizes.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("statm has two numbers");
    // SAFETY: a constant of the system.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64
}

/// Context switches, of either kind, of all threads but the main one.
fn worker_switches() -> f64 {
    let main = std::process::id().to_string();
    let tasks = fs::read_dir("/proc/self/task").expect("/proc is mounted").flatten();
    tasks
        .filter(|task| *task.file_name() != *main)
        .filter_map(|task| fs::read_to_string(task.path().join("status")).ok())
        .flat_map(|status| status.lines().filter(|l| l.contains("ctxt_switches:")).map(String::from).collect::<Vec<_>>())
        .filter_map(|line| line.split_whitespace().last()?.parse::<f64>().ok())
        .sum()
}

/// The answers, from a sieve: element k is the number of primes less than k.
fn primes_below(limit: usize) -> Vec<u32> {
    let mut composite = vec![false; limit + 1];
    let mut count = 0;
    (0..=limit)
        .map(|k| {
            let below = count;
            if k >= 2 && !composite[k] {
                count += 1;
                (k * k..=limit).step_by(k).for_each(|multiple| composite[multiple] = true);
            }
            below
        })
        .collect()
}

// The pool -----------------------------------------------------------------------------------------------------------

extern "C" {
    fn prime_kernel_count(lower: u32, upper: u32) -> u32;
}

fn count_primes(lower: usize, upper: usize) -> u32 {
    // SAFETY: a pure function of two integers.
    unsafe { prime_kernel_count(lower as u32, upper as u32) }
}

/// Opens for the one thread that made it when it has been counted down to zero.
struct Latch {
    count: AtomicUsize,
    waiter: Thread,
}

impl Latch {
    fn new(count: usize) -> Arc<Latch> {
        Arc::new(Latch { count: AtomicUsize::new(count), waiter: thread::current() })
    }

    fn count_down(&self) {
        if self.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waiter.unpark()
        }
    }

    fn wait(&self) {
        while self.count.load(Ordering::Acquire) != 0 {
            thread::park()
        }
    }
}

fn fanout(pool: Arc<ThreadPool>) -> Round {
    Box::new(move |n| {
        measure(|| {
            let done = Latch::new(n);
            for _ in 0..n {
                let done = done.clone();
                pool.spawn(move || done.count_down())
            }
            done.wait()
        })
        .1
    })
}

fn contend(pool: Arc<ThreadPool>) -> Round {
    Box::new(move |n| {
        measure(|| {
            let done = Latch::new(n);
            thread::scope(|scope| {
                for t in 0..4 {
                    let (pool, done) = (&pool, &done);
                    scope.spawn(move || {
                        for _ in n * t / 4..n * (t + 1) / 4 {
                            let done = done.clone();
                            pool.spawn(move || done.count_down())
                        }
                    });
                }
                done.wait()
            })
        })
        .1
    })
}

fn fire_and_forget(pool: Arc<ThreadPool>) -> Round {
    Box::new(move |n| {
        measure(|| {
            let done = Latch::new(n);
            let submitted = done.clone();
            pool.spawn(move || {
                for _ in 0..n {
                    let done = submitted.clone();
                    rayon::spawn(move || done.count_down())
                }
            });
            done.wait()
        })
        .1
    })
}

fn fib(k: u32) -> i64 {
    if k < 2 {
        return k.into();
    }
    let (left, right) = rayon::join(|| fib(k - 1), || fib(k - 2));
    left + right
}

fn spawn_fib(pool: Arc<ThreadPool>) -> Round {
    Box::new(move |n| {
        let (mut k, mut value, mut next) = (2, 1, 2); // fib(k) and fib(k + 1); fib(k) forks fib(k + 1) - 1 times
        while value + next - 1 <= n as i64 {
            (k, value, next) = (k + 1, next, value + next)
        }
        let (got, mut measured) = measure(|| pool.install(|| fib(k)));
        expect(got, value);
        let scale = n as f64 / (next - 1) as f64;
        measured.wall_ns *= scale;
        measured.cpu_ns *= scale;
        measured
    })
}

fn pingpong(pool: Arc<ThreadPool>) -> Round {
    Box::new(move |n| {
        let mut trips = Vec::with_capacity(n);
        let (sum, mut measured) = measure(|| {
            let mut begin = Instant::now();
            (0..n).fold(0, |sum, i| {
                let answer = pool.install(|| i);
                let end = Instant::now();
                trips.push((end - begin).as_nanos() as f64);
                begin = end;
                sum + answer
            })
        });
        expect(sum as i64, (n * (n - 1) / 2) as i64);
        trips.sort_by(f64::total_cmp);
        measured.more = vec![("p50_ns", trips[n / 2]), ("p99_ns", trips[n * 99 / 100])];
        measured
    })
}

fn map_uniform(pool: Arc<ThreadPool>, most: usize) -> Round {
    let input: Vec<i64> = (1..=most as i64).collect();
    Box::new(move |n| {
        let (output, measured) = measure(|| -> Vec<i64> {
            pool.install(|| input[..n].par_iter().map(|x| x.wrapping_mul(3)).collect())
        });
        expect(output.iter().sum(), 3 * (n * (n + 1) / 2) as i64);
        measured
    })
}

fn map_irregular(pool: Arc<ThreadPool>, most: usize) -> Round {
    let below = primes_below(500 * most);
    Box::new(move |n| {
        let (counts, measured) = measure(|| -> Vec<u32> {
            // Items so dear are worth a task each.
            let limits = (1..n + 1).into_par_iter().with_max_len(1);
            pool.install(|| limits.map(|i| count_primes(0, 500 * i)).collect())
        });
        let expected = (1..=n).map(|i| i64::from(below[500 * i])).sum();
        expect(counts.into_iter().map(i64::from).sum(), expected);
        measured
    })
}

fn primes(pool: Arc<ThreadPool>, most: usize) -> Round {
    const BLOCK: usize = 4096;
    let below = primes_below(most);
    Box::new(move |n| {
        let (count, measured) = measure(|| -> u32 {
            let begins = (0..(n + BLOCK - 1) / BLOCK).into_par_iter().map(|block| block * BLOCK);
            pool.install(|| begins.map(|begin| count_primes(begin, n.min(begin + BLOCK))).sum())
        });
        expect(count.into(), below[n].into());
        measured
    })
}

fn pending(pool: Arc<ThreadPool>) -> Round {
    let mut baseline = None;
    Box::new(move |n| {
        struct Counted {
            done: Arc<Latch>,
            sum: AtomicI64,
        }
        let counted = Arc::new(Counted { done: Latch::new(n), sum: AtomicI64::new(0) });
        let (bytes, mut measured) = measure(|| {
            let started = Latch::new(pool.current_num_threads());
            let gate = Arc::new((Mutex::new(false), Condvar::new()));
            for _ in 0..pool.current_num_threads() {
                let (started, gate) = (started.clone(), gate.clone());
                pool.spawn(move || {
                    started.count_down();
                    drop(gate.1.wait_while(gate.0.lock().unwrap(), |open| !*open))
                })
            }
            started.wait();
            // Before the first round, since later ones find the memory of this one still there.
            let baseline = *baseline.get_or_insert_with(resident_bytes);
            for i in 0..n as i64 {
                let counted = counted.clone();
                pool.spawn(move || {
                    counted.sum.fetch_add(i, Ordering::Relaxed);
                    counted.done.count_down()
                })
            }
            let bytes = (resident_bytes() - baseline) / n as f64;
            *gate.0.lock().unwrap() = true;
            gate.1.notify_all();
            counted.done.wait();
            bytes
        });
        expect(counted.sum.load(Ordering::Relaxed), (n * (n - 1) / 2) as i64);
        measured.more = vec![("bytes", bytes)];
        measured
    })
}

fn idle(pool: Arc<ThreadPool>) -> Round {
    let mut work = fanout(pool);
    Box::new(move |_| {
        work(1000);
        thread::sleep(Duration::from_millis(100)); // for the way to sleep, which is not idleness
        let switches = worker_switches();
        let ((), mut measured) = measure(|| thread::sleep(Duration::from_secs(2)));
        measured.more = vec![("switches", worker_switches() - switches)];
        measured
    })
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (bench, workers, n) = match arguments.as_slice() {
        [bench, workers, n] => (bench, workers, n),
        _ => fail(&format!("there are {} arguments, but must be 3: bench workers n", arguments.len()), 1),
    };
    let (workers, n) = (number("workers", workers, 1024), number("n", n, 1_000_000_000));
    let pool = Arc::new(ThreadPoolBuilder::new().num_threads(workers).build().expect("threads can be made"));
    let mut warm_up = n;
    let mut round = match bench.as_str() {
        "fanout" => fanout(pool),
        "contend" => contend(pool),
        "fire-and-forget" => fire_and_forget(pool),
        "spawn-fib" => spawn_fib(pool),
        "pingpong" => pingpong(pool),
        "map-uniform" => map_uniform(pool, n),
        "map-irregular" => map_irregular(pool, n),
        "primes" => primes(pool, n),
        "pending" => {
            warm_up = n.min(1000);
            pending(pool)
        }
        "idle" => idle(pool),
        _ => fail("unsupported", 2),
    };
    round(warm_up);
    say("ready");
    for line in stdin().lock().lines() {
        match line.as_deref() {
            Ok("go") => {}
            other => fail(&format!("a line on stdin is {other:?}, but must be 'go'"), 1),
        }
        let measured = round(n);
        let more: String = measured.more.iter().map(|(name, value)| format!(", \"{name}\": {value:.1}")).collect();
        say(&format!("{{\"wall_ns\": {:.0}, \"cpu_ns\": {:.0}{more}}}", measured.wall_ns, measured.cpu_ns));
    }
    exit(0)
}
