// Goroutines behind a channel as a subject of the benchmarks: see ../README.md for the protocol.
package main

/*
#include <time.h>
#include "prime_kernel.h"

static long long cpu_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}
*/
import "C"

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Protocol -----------------------------------------------------------------------------------------------------------

type measured struct {
	wall, cpu float64
	more      string // further fields of the JSON line, each with a comma before it
}

type round func(n int) measured

func measure(body func()) measured {
	cpu, wall := C.cpu_ns(), time.Now()
	body()
	elapsed := time.Since(wall)
	return measured{wall: float64(elapsed.Nanoseconds()), cpu: float64(C.cpu_ns() - cpu)}
}

func (m *measured) add(name string, value float64) { m.more += fmt.Sprintf(", %q: %.1f", name, value) }

func fail(status int, format string, values ...any) {
	fmt.Printf("{\"error\": \"%s\"}\n", fmt.Sprintf(format, values...))
	os.Exit(status)
}

func expect(got, expected int) {
	if got != expected {
		fail(1, "got %d, expected %d", got, expected)
	}
}

func number(name, text string, most int) int {
	value, err := strconv.Atoi(text)
	if err != nil || value < 1 || value > most {
		fail(1, "%s is '%s', but must be from 1 to %d", name, text, most)
	}
	return value
}

func residentBytes() float64 {
	var size, resident int
	statm, err := os.ReadFile("/proc/self/statm")
	if err == nil {
		_, err = fmt.Sscan(string(statm), &size, &resident)
	}
	if err != nil {
		fail(1, "/proc/self/statm: %v", err)
	}
	return float64(resident * os.Getpagesize())
}

// Context switches, of either kind, of all threads but the one that started the process.
func workerSwitches() float64 {
	switches := 0
	statuses, _ := filepath.Glob("/proc/self/task/*/status")
	for _, path := range statuses {
		if filepath.Base(filepath.Dir(path)) == strconv.Itoa(os.Getpid()) {
			continue
		}
		status, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for _, line := range strings.Split(string(status), "\n") {
			if name, value, _ := strings.Cut(line, ":"); strings.HasSuffix(name, "ctxt_switches") {
				count, _ := strconv.Atoi(strings.TrimSpace(value))
				switches += count
			}
		}
	}
	return float64(switches)
}

// The answers, from a sieve: element k is the number of primes less than k.
func primesBelow(limit int) []int {
	composite, below, count := make([]bool, limit+1), make([]int, limit+1), 0
	for k := range below {
		below[k] = count
		if k < 2 || composite[k] {
			continue
		}
		count++
		for multiple := k * k; multiple <= limit; multiple += k {
			composite[multiple] = true
		}
	}
	return below
}

func countPrimes(lower, upper int) int {
	return int(C.prime_kernel_count(C.uint32_t(lower), C.uint32_t(upper)))
}

// The pool -----------------------------------------------------------------------------------------------------------

// The channel holds whatever a round submits: no other subject makes a submitter wait, and a worker that submits to a
// full channel would wait for itself.
type pool struct {
	tasks   chan func()
	workers int
}

func newPool(workers, capacity int) *pool {
	p := &pool{make(chan func(), capacity), workers}
	for w := 0; w < workers; w++ {
		go func() {
			for task := range p.tasks {
				task()
			}
		}()
	}
	return p
}

func (p *pool) submit(done *sync.WaitGroup, count int) {
	for i := 0; i < count; i++ {
		p.tasks <- func() { done.Done() }
	}
}

func (p *pool) fanout(n int) measured {
	return measure(func() {
		var done sync.WaitGroup
		done.Add(n)
		p.submit(&done, n)
		done.Wait()
	})
}

func (p *pool) contend(n int) measured {
	return measure(func() {
		var done sync.WaitGroup
		done.Add(n)
		for t := 0; t < 4; t++ {
			go p.submit(&done, n*(t+1)/4-n*t/4)
		}
		done.Wait()
	})
}

func (p *pool) fireAndForget(n int) measured {
	return measure(func() {
		var done sync.WaitGroup
		done.Add(n)
		p.tasks <- func() { p.submit(&done, n) }
		done.Wait()
	})
}

func (p *pool) fanoutFuture(n int) measured {
	sum := 0
	m := measure(func() {
		futures := make([]chan int, n)
		for i := range futures {
			i, future := i, make(chan int, 1)
			futures[i] = future
			p.tasks <- func() { future <- i }
		}
		for _, future := range futures {
			sum += <-future
		}
	})
	expect(sum, n*(n-1)/2)
	return m
}

// A goroutine for each fork: workers that wait for tasks behind them in the channel would deadlock.
func fib(k int) int {
	if k < 2 {
		return k
	}
	left := make(chan int, 1)
	go func() { left <- fib(k - 1) }()
	right := fib(k - 2)
	return <-left + right
}

func spawnFib(n int) measured {
	k, value, next := 2, 1, 2 // fib(k) and fib(k + 1); fib(k) forks fib(k + 1) - 1 times
	for value+next-1 <= n {
		k, value, next = k+1, next, value+next
	}
	var got int
	m := measure(func() { got = fib(k) })
	expect(got, value)
	scale := float64(n) / float64(next-1)
	return measured{wall: m.wall * scale, cpu: m.cpu * scale}
}

func (p *pool) pingpong(n int) measured {
	// A thread of its own, outside the pool: goroutines that share one hand over without waking anybody.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	trips, sum := make([]int, n), 0
	m := measure(func() {
		answer, begin := make(chan int), time.Now()
		for i := range trips {
			i := i
			p.tasks <- func() { answer <- i }
			sum += <-answer
			end := time.Now()
			trips[i] = int(end.Sub(begin))
			begin = end
		}
	})
	expect(sum, n*(n-1)/2)
	sort.Ints(trips)
	m.add("p50_ns", float64(trips[n/2]))
	m.add("p99_ns", float64(trips[n*99/100]))
	return m
}

// Runs the body for each block of 0..<n as a task, and waits for all.
func (p *pool) forBlocks(n, block int, body func(begin, end int)) {
	var done sync.WaitGroup
	for begin := 0; begin < n; begin += block {
		begin, end := begin, begin+block
		if end > n {
			end = n
		}
		done.Add(1)
		p.tasks <- func() {
			defer done.Done()
			body(begin, end)
		}
	}
	done.Wait()
}

func (p *pool) mapUniform(n int) round {
	input := make([]int64, n)
	for i := range input {
		input[i] = int64(i) + 1
	}
	return func(n int) measured {
		var output []int64
		m := measure(func() {
			output = make([]int64, n)
			p.forBlocks(n, n/(8*p.workers)+1, func(begin, end int) {
				input, output := input[begin:end], output[begin:end]
				for i, x := range input {
					output[i] = x * 3
				}
			})
		})
		for i, y := range output {
			expect(int(y), 3*(i+1))
		}
		return m
	}
}

func (p *pool) mapIrregular(n int) round {
	below := primesBelow(500 * n)
	return func(n int) measured {
		counts := make([]int, n)
		m := measure(func() {
			p.forBlocks(n, 1, func(i, _ int) { counts[i] = countPrimes(0, 500*(i+1)) })
		})
		for i, count := range counts {
			expect(count, below[500*(i+1)])
		}
		return m
	}
}

func (p *pool) primes(n int) round {
	expected := primesBelow(n)[n]
	return func(n int) measured {
		var count atomic.Int64
		m := measure(func() {
			p.forBlocks(n, 4096, func(begin, end int) { count.Add(int64(countPrimes(begin, end))) })
		})
		expect(int(count.Load()), expected)
		return m
	}
}

func (p *pool) pending() round {
	type counted struct {
		sum  atomic.Int64
		done sync.WaitGroup
	}
	debug.FreeOSMemory() // collects, and gives back
	baseline := residentBytes()
	return func(n int) measured {
		c, bytes := &counted{}, 0.0
		c.done.Add(n)
		m := measure(func() {
			var started sync.WaitGroup
			gate := make(chan struct{})
			started.Add(p.workers)
			for w := 0; w < p.workers; w++ {
				p.tasks <- func() {
					started.Done()
					<-gate
				}
			}
			started.Wait()
			debug.FreeOSMemory() // collects, and gives back what is left of earlier rounds
			for i := 0; i < n; i++ {
				i := i
				p.tasks <- func() {
					c.sum.Add(int64(i))
					c.done.Done()
				}
			}
			debug.FreeOSMemory()
			bytes = (residentBytes() - baseline) / float64(n)
			close(gate)
			c.done.Wait()
		})
		expect(int(c.sum.Load()), n*(n-1)/2)
		m.add("bytes", bytes)
		return m
	}
}

func (p *pool) idle(int) measured {
	p.fanout(1000)
	time.Sleep(100 * time.Millisecond) // for the way to sleep, which is not idleness
	switches := workerSwitches()
	m := measure(func() { time.Sleep(2 * time.Second) })
	m.add("switches", workerSwitches()-switches)
	return m
}

func main() {
	if len(os.Args) != 4 {
		fail(1, "there are %d arguments, but must be 3: bench workers n", len(os.Args)-1)
	}
	workers, n := number("workers", os.Args[2], 1024), number("n", os.Args[3], 1_000_000_000)
	runtime.GOMAXPROCS(workers)
	var run round
	switch os.Args[1] {
	case "fanout":
		run = newPool(workers, n).fanout
	case "contend":
		run = newPool(workers, n).contend
	case "fire-and-forget":
		run = newPool(workers, n).fireAndForget
	case "fanout-future":
		run = newPool(workers, n).fanoutFuture
	case "spawn-fib":
		run = spawnFib
	case "pingpong":
		run = newPool(workers, 1).pingpong
	case "map-uniform":
		run = newPool(workers, 1024).mapUniform(n)
	case "map-irregular":
		run = newPool(workers, 1024).mapIrregular(n)
	case "primes":
		run = newPool(workers, 1024).primes(n)
	case "pending":
		run = newPool(workers, n+workers).pending()
	case "idle":
		run = newPool(workers, 1000).idle
	default:
		fail(2, "unsupported")
	}
	run(n)
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() != "go" {
			fail(1, "a line on stdin is '%s', but must be 'go'", lines.Text())
		}
		m := run(n)
		fmt.Printf("{\"wall_ns\": %.0f, \"cpu_ns\": %.0f%s}\n", m.wall, m.cpu, m.more)
	}
}
