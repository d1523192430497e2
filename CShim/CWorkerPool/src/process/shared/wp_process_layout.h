// What lives in the memory that host and workers share, and who writes it.
//
// Sparse memory files, by who may write them, each with room for as many workers as a pool may ever have:
//
//     given       pool part: head, table of interned names       sealed: after the host's mapping nobody gets another that
//                 by worker, the host part: head, requests,      is writable, by whatever way
//                 options, cells; the initializer's argument
//     arguments   by worker, its argument buffers                the host writes; others have a read-only opening, closed
//                                                                before any task runs
//     own         one file for each worker: signal, status,      the worker and the host write
//                 slots, result buffers
//     output      by worker, what it printed                     the template writes (wp_process_output.h); no worker has it
//
// A worker maps the pool part, its own parts, and nothing of its neighbours'. It closes the descriptors before it runs
// anything of the user's, and what it maps for reading the kernel never lets it write: mprotect, a mapping that is grown
// (mremap) or rearranged (remap_file_pages), a descriptor opened again under /proc. So a worker that runs wild damages its own
// slots and results only: never its arguments (which is why a task that it had not begun can be read back from them after its
// death), never a neighbour's, never the pool's. What is sealed gives no pages back; that is why arguments have another file.
//
// There is no lock here: a worker that is killed would hold it for ever. The host believes nothing that a worker can
// write: it reads a value once, checks it, then uses that copy; what it dispatched where stands in memory of its own
// (host/wp_host_state.h).
//
// Sources: the ring with a per-slot word follows Vyukov's bounded queue; sleep and wake are Dekker's pattern as in
// the kernel's virtio rings ("publish, then look whether the other side sleeps"). Rejected: a socket or pipe per
// worker (4-60 µs a message against 0.25); robust mutexes (a dead owner leaves the data behind them half-written);
// shm_open (a name that outlives a crash); one file for all (what a worker may write in it reaches the rest by mremap); a
// read-only descriptor alone (/proc/self/fd opens it again for writing).
#ifndef WP_PROCESS_LAYOUT_H
#define WP_PROCESS_LAYOUT_H

#include "../../base/wp_assert.h"
#include "../../base/wp_atomic.h"
#include "wp_process_data.h"
#include "wp_process_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WP_PROCESS_MAX_NAMES 16384u
#define WP_PROCESS_NAME_BYTES ((size_t)4 << 20)
#define WP_PROCESS_PREFIX_BYTES 48
/// Payloads up to these sizes travel in the cache lines of their slot.
#define WP_REQUEST_INLINE 112u
#define WP_REPLY_INLINE WP_PROCESS_SMALL_REPLY
/// Bytes of each payload buffer that stay warm between tasks: touching fresh pages costs eight times a copy. An idle pool
/// gives them back as well (host/wp_host_tidy.h).
#define WP_KEEP_WARM ((size_t)4 << 20)
/// How many shared arrays a task may carry, and how many a worker keeps mapped for each of its slots.
#define WP_CELLS_PER_SLOT WP_PROCESS_MAX_SHARED
/// Most that is kept of what an initializer replied.
#define WP_REPLY_KEPT ((size_t)1 << 20)
/// No payload buffer.
#define WP_NO_BUFFER UINT8_MAX
/// Largest `max_payload`: keeps every offset below far from overflow.
#define WP_PROCESS_PAYLOAD_CEILING ((size_t)1 << 40)

/// How much a channel reserves: how many tasks its worker may hold, and how many payloads beyond those of their results there
/// is room for. Where address space is short, less.
typedef struct wp_reserve {
  uint32_t prefetch;
  uint32_t argument_buffers;
  /// Results that may be lent.
  uint32_t loans;
} wp_reserve;

/// Start of the given file. Constant after init except the two words at the end, which the host writes.
typedef struct wp_pool_head {
  uint32_t capacity;
  wp_reserve reserve;
  uint64_t max_payload;
  uint64_t spin_ns;
  /// A `wp_sandbox_level`.
  uint32_t sandbox;
  char prefix[WP_PROCESS_PREFIX_BYTES];
  wp_process_limits limits;
  bool has_cgroups;
  wp_process_output output[WP_STREAM_COUNT];  // no mode is WP_OUTPUT_DEFAULT
  uint64_t initializer_length;
  uint32_t initializer_function;
  bool initializes;
  /// Which thread is about to sleep or sleeps, and has to be woken when a task ends: [number of the sleep |
  /// `wp_host_sleeper`]. A worker rings once for each sleep, however many tasks it ends before the sleeper runs.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u32 host_sleeping;
  /// Names interned so far. Entries below it never change. Edge "name": release here, acquire by the reader.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u32 name_count;
} wp_pool_head;

#define WP_SLEEPER_BITS 2
#define WP_SLEEPER 3u
typedef enum wp_host_sleeper {
  WP_NOBODY_SLEEPS = 0,
  /// The collector's thread, in poll: ring the doorbell.
  WP_COLLECTOR_SLEEPS,
  /// A thread that waits for a task and collects meanwhile, in read: ring the leader's bell. (Not a futex: between its
  /// check of the word and its sleep the word would have to change, and workers cannot write here.)
  WP_LEADER_SLEEPS,
} wp_host_sleeper;

/// Where a name's bytes stand, from the start of the name bytes. A NUL follows each name.
typedef struct wp_name_entry {
  uint32_t offset;
  uint32_t length;
} wp_name_entry;

// MARK: Host part of a channel

/// Written by the host before it asks for a worker, constant while that worker lives, all but `stop`.
typedef struct wp_channel_head {
  WP_ALIGNED(WP_CACHE_LINE) uint32_t generation;
  /// CPU to pin to, -1 to float.
  int32_t cpu;
  /// `wp_task_mark` of the task that the host asks to stop: no other takes it for itself. 0 for none.
  wp_atomic_u32 stop;
  /// Counts the changes of the worker's cells (host/wp_host_share.h), which the host makes at any time. Edge "cells":
  /// release here, acquire by the worker.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u32 cells_revision;
} wp_channel_head;

/// Names the task at a position of one worker; never 0.
static inline uint32_t wp_task_mark(uint32_t position) { return position << 1 | 1u; }

/// One task on its way to the worker. Written by the host while the slot is free.
typedef struct wp_request_slot {
  WP_ALIGNED(WP_CACHE_LINE) uint64_t length;
  uint32_t function;
  /// Where an argument stands that is too long for `bytes`, and where the result may go.
  uint8_t argument_buffer;
  uint8_t result_buffer;
  /// Shared arrays that come with this request over the worker's socket, in one message; at most
  /// `WP_PROCESS_MAX_SHARED`.
  uint8_t deliveries : 7;
  /// Whether `wp_channel_options` says what the task may do and use.
  uint8_t has_options : 1;
  /// Why some did not come: an `errno`, else 0.
  uint8_t delivery_errno;
  unsigned char bytes[WP_REQUEST_INLINE];
} wp_request_slot;

// MARK: Worker part of a channel

/// What the host tells a worker at any time. Written by the host: `WP_SIGNAL_EXIT` in bit 0, in bits 1...3 a count of the times
/// that a sleeping worker was asked to look at its cells, and above them the positions published so far.
typedef struct wp_channel_signal {
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u32 word;
} wp_channel_signal;

#define WP_SIGNAL_EXIT 1u
#define WP_SIGNAL_CELLS 0xEu
static inline uint32_t wp_signal_of(uint32_t published, uint32_t cells, bool leave) {
  return published << 4 | (cells << 1 & WP_SIGNAL_CELLS) | (leave ? WP_SIGNAL_EXIT : 0u);
}

/// Written by the worker, but for `sleeping`.
typedef struct wp_channel_status {
  /// The word it sleeps on: 1 from before its last look at the signal, by its own store; 0 while it is awake, by its own
  /// store or by that of the host, which then wakes it. So each sleep is ended once, and a host that is late (it has
  /// published a task, and the worker has run it and sleeps again before the host looks here) ends one too many at worst.
  ///
  /// Rejected: sleeping on the signal word, with a number for each sleep that the host remembers to have ended. A wake
  /// that comes before the worker waits is lost there, and the number keeps the next one from being sent.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u32 sleeping;
  /// Generation of the worker that has set itself up.
  wp_atomic_u32 ready;
  /// The call that kept it from doing so (a `wp_call`), and `errno`.
  wp_atomic_u32 failed_call;
  wp_atomic_u32 failed_errno;
  /// Number plus one of the system call that its sandbox forbade.
  wp_atomic_u32 forbidden_call;
  /// 1 while the initializer runs and after it has failed; its reply stands in slot 0.
  wp_atomic_u32 initializing;
  /// Written by the handler of a fault: 1 when an allocation had failed just before, and how much private memory there was.
  wp_atomic_u32 fault_starved;
  /// 1 when it could not join its cgroup, and could do without.
  wp_atomic_u32 outside_cgroup;
  /// Why it is not pinned that should be: an `errno`.
  wp_atomic_u32 pin_errno;
  /// 1 after a fault at an address near zero.
  wp_atomic_u32 fault_near_zero;
  /// How often it missed a shared memory that it was sent. Counted before the reply of the task that brought it.
  wp_atomic_u32 missed;
  wp_atomic_u64 fault_data;
} wp_channel_status;

/// A slot's state and, once done, its task's result.
///
/// `state` is one word, [position | state]: position counts the tasks this worker was sent, so a slot used again is
/// never mistaken for its former self.
///
///                    worker CAS            worker store
///     READY(p) ───────────────▶ STARTED(p) ────────────▶ DONE(p) ─┐
///       ▲ │ host CAS             worker store                     │ host store, once it has let go of
///       │ └──────────▶ REVOKED(p) ─────────▶ SKIPPED(p) ──────────┤ the slot's former task
///       └── EMPTY ◀── channel reset ◀── worker dead               └──▶ READY(p + slots)
///
/// Edges: "publish": the host's store of READY releases request and arguments to the worker's CAS. "reply": the
/// worker's store of DONE releases this line and the results to the host's load. Which side may write the rest of the
/// line: the worker, from the moment it sees READY until it stores DONE.
typedef struct wp_reply_slot {
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u32 state;
  // Relaxed: `state` orders them. Atomic all the same, since a hostile worker may write them at any time: so each is read once
  // (host/wp_host_reply.h).
  wp_atomic_u32 code;
  /// What the handler asked for: over the pool's limit means that it did not get it.
  wp_atomic_u64 length;
  /// When the task began (written before the CAS to STARTED) and ended, on CLOCK_MONOTONIC.
  wp_atomic_u64 started_ns;
  wp_atomic_u64 ended_ns;
  /// Bytes of the result buffer that may have been touched.
  wp_atomic_u64 touched;
  /// Where in its buffer a result stands that is too long for `bytes`. Before it: blocks (wp_process_data.h).
  wp_atomic_u64 offset;
  unsigned char bytes[WP_REPLY_INLINE];
} wp_reply_slot;

/// Most argument buffers that a channel has.
#define WP_ARGUMENT_BUFFERS (2 * WP_PROCESS_MAX_PREFETCH)
WP_STATIC_ASSERT(WP_ARGUMENT_BUFFERS + WP_PROCESS_MAX_LOANS <= 64, "buffers in use are bits of one word");
WP_STATIC_ASSERT(sizeof(wp_request_slot) == WP_CACHE_LINE, "a request is one cache line");
WP_STATIC_ASSERT(sizeof(wp_reply_slot) == WP_CACHE_LINE, "a reply is one cache line");
WP_STATIC_ASSERT(offsetof(wp_request_slot, bytes) % 16 == 0, "inline payloads are aligned for any scalar");
WP_STATIC_ASSERT(offsetof(wp_reply_slot, bytes) % 16 == 0, "inline payloads are aligned for any scalar");

enum { WP_SLOT_EMPTY = 0, WP_SLOT_READY, WP_SLOT_STARTED, WP_SLOT_DONE, WP_SLOT_REVOKED, WP_SLOT_SKIPPED };
static inline uint32_t wp_slot_word(uint32_t position, uint32_t state) { return (position << 3) | state; }

// MARK: Output part

/// Most bytes that are written at once. What poll calls writable, a pipe takes in this size without blocking.
#define WP_OUTPUT_CHUNK 4096u

/// The end of what one worker printed to one stream; its bytes follow (wp_process_output.h).
typedef struct wp_output_ring {
  /// Bytes written since the worker started, by the template. Edge "output": release there, acquire by the host.
  WP_ALIGNED(WP_CACHE_LINE) wp_atomic_u64 total;
} wp_output_ring;

// MARK: Geometry

/// Offsets and sizes, all page aligned, that follow from three numbers.
typedef struct wp_geometry {
  /// For how many workers there is room, which costs offsets in a sparse file and nothing else.
  uint32_t capacity;
  wp_reserve reserve;
  /// How many tasks a worker may hold.
  uint32_t prefetch;
  /// `prefetch` rounded up to a power of two, so that positions may wrap; slots never used cost address space only.
  uint32_t slots;
  size_t max_payload;
  /// Bytes reserved for one payload, and how many such buffers a channel has. Twice the slots: a slot is free again when
  /// its result was found, the buffers when it was used. Results have some more, to be lent. As many arguments as slots will
  /// do: a task without a buffer waits.
  size_t buffer_size;
  uint32_t argument_buffers;
  uint32_t result_buffers;
  /// How many shared arrays a worker may have mapped.
  uint32_t cells;
  /// What one worker has in the given file, in that of the arguments, and for its own file before the result buffers and in all.
  size_t host_part;
  size_t arguments_part;
  size_t worker_fixed;
  size_t worker_part;
  /// What one worker has of the output, and the first of its streams; by stream, how many bytes are kept: 0 when it is not
  /// captured.
  size_t output_part;
  size_t output_stream;
  size_t output_limit[WP_STREAM_COUNT];
  /// Where the initializer's argument stands in the given file.
  uint64_t initializer_offset;
  size_t initializer_part;
  uint64_t given_size;
  uint64_t arguments_size;
  uint64_t output_size;
} wp_geometry;

/// Bytes of the pool part: the same for every pool.
size_t wp_pool_part_size(void);
/// As much as is of use to workers that may hold so many tasks.
wp_reserve wp_reserve_most(uint32_t prefetch);
/// Reserves less; false when it is the least already. `keeps_prefetch`: how many tasks a worker may hold is not to change.
bool wp_reserve_less(wp_reserve *reserve, bool keeps_prefetch);
wp_geometry wp_geometry_of(uint32_t capacity, const wp_reserve *reserve, size_t max_payload);
/// Address space that a worker's channel takes in the host.
uint64_t wp_geometry_channel(const wp_geometry *geometry);
/// Adds the output, and the initializer's argument.
void wp_geometry_extend(wp_geometry *geometry, const wp_process_output *output, size_t initializer_length);
/// The size of the largest file.
uint64_t wp_geometry_largest(const wp_geometry *geometry);
/// Where a worker's part of the given file, and of the arguments, begins.
uint64_t wp_host_part_offset(const wp_geometry *geometry, uint32_t index);
uint64_t wp_arguments_offset(const wp_geometry *geometry, uint32_t index);

/// One channel as mapped by somebody.
typedef struct wp_channel {
  unsigned char *host_part;
  unsigned char *arguments;
  unsigned char *worker_part;
} wp_channel;

wp_channel_head *wp_channel_get_head(const wp_channel *channel);
wp_request_slot *wp_channel_request(const wp_channel *channel, const wp_geometry *geometry, uint32_t position);
/// Beside the requests, so that a task without options costs no more than its cache line.
wp_task_options *wp_channel_options(const wp_channel *channel, const wp_geometry *geometry, uint32_t position);
/// Ids of the shared arrays that the worker may have, 0 for none. The host writes, the worker reads.
wp_atomic_u64 *wp_channel_cells(const wp_channel *channel, const wp_geometry *geometry);
void *wp_channel_arguments(const wp_channel *channel, const wp_geometry *geometry, uint32_t buffer);
wp_channel_signal *wp_channel_get_signal(const wp_channel *channel);
wp_channel_status *wp_channel_get_status(const wp_channel *channel);
wp_reply_slot *wp_channel_reply(const wp_channel *channel, const wp_geometry *geometry, uint32_t position);
void *wp_channel_results(const wp_channel *channel, const wp_geometry *geometry, uint32_t buffer);

// MARK: Interned names

wp_name_entry *wp_pool_names(wp_pool_head *head);
char *wp_pool_name_bytes(wp_pool_head *head);
/// Index of `name`, added if it is new. `WP_TOO_LARGE` when the table is full, `WP_SYSTEM_CALL_FAILED` without memory. One
/// caller at a time. O(names).
wp_status wp_pool_intern(wp_pool_head *head, const void *name, size_t length, uint32_t *index);

#ifdef __cplusplus
}
#endif

#endif
