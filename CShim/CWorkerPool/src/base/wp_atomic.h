// The one place where the engine touches atomics. A model checker replaces it by defining
// WP_ATOMIC_MODEL_HEADER, a C++ compiler gets std::atomic, and no algorithm is written twice.
//
// Orders are always explicit. Publication is a release store or RMW, never a fence: both ThreadSanitizers
// report the fence form as a race.
#ifndef WP_ATOMIC_H
#define WP_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(WP_ATOMIC_MODEL_HEADER)
#include WP_ATOMIC_MODEL_HEADER
#else

#ifdef __cplusplus
#include <atomic>
#define WP_ATOMIC(type) std::atomic<type>
#define WP_ATOMIC_NAMESPACE std::
#else
#include <stdatomic.h>
#define WP_ATOMIC(type) _Atomic(type)
#define WP_ATOMIC_NAMESPACE
#endif

#define wp_relaxed WP_ATOMIC_NAMESPACE memory_order_relaxed
#define wp_acquire WP_ATOMIC_NAMESPACE memory_order_acquire
#define wp_release WP_ATOMIC_NAMESPACE memory_order_release
#define wp_acq_rel WP_ATOMIC_NAMESPACE memory_order_acq_rel
#define wp_seq_cst WP_ATOMIC_NAMESPACE memory_order_seq_cst

#define wp_atomic_init(object, value) WP_ATOMIC_NAMESPACE atomic_store_explicit((object), (value), wp_relaxed)
#define wp_atomic_load(object, order) WP_ATOMIC_NAMESPACE atomic_load_explicit((object), (order))
#define wp_atomic_store(object, value, order) WP_ATOMIC_NAMESPACE atomic_store_explicit((object), (value), (order))
#define wp_atomic_exchange(object, value, order) \
  WP_ATOMIC_NAMESPACE atomic_exchange_explicit((object), (value), (order))
#define wp_atomic_fetch_add(object, value, order) \
  WP_ATOMIC_NAMESPACE atomic_fetch_add_explicit((object), (value), (order))
#define wp_atomic_fetch_sub(object, value, order) \
  WP_ATOMIC_NAMESPACE atomic_fetch_sub_explicit((object), (value), (order))
#define wp_atomic_fetch_or(object, value, order) \
  WP_ATOMIC_NAMESPACE atomic_fetch_or_explicit((object), (value), (order))
/// `expected` is a pointer and receives what was found on failure, where `failure` is the order of that load.
#define wp_atomic_cas_strong(object, expected, desired, success, failure) \
  WP_ATOMIC_NAMESPACE atomic_compare_exchange_strong_explicit((object), (expected), (desired), (success), (failure))
#define wp_atomic_cas_weak(object, expected, desired, success, failure) \
  WP_ATOMIC_NAMESPACE atomic_compare_exchange_weak_explicit((object), (expected), (desired), (success), (failure))

#endif

typedef WP_ATOMIC(uint32_t) wp_atomic_u32;
typedef WP_ATOMIC(uint64_t) wp_atomic_u64;
typedef WP_ATOMIC(int64_t) wp_atomic_i64;
typedef WP_ATOMIC(uintptr_t) wp_atomic_uptr;

/// Tells the core that this is a spin loop.
static inline void wp_cpu_relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

#endif
