// Asserts, layout checks, the cache line: what C11 and C++ spell differently.
#ifndef WP_ASSERT_H
#define WP_ASSERT_H

#include <assert.h>

/// Bytes that two cores contend for as one: a pair of 64-byte lines, since x86 prefetches in pairs and Apple and
/// Neoverse cores have 128-byte granules.
#define WP_CACHE_LINE 128

#ifdef __cplusplus
#define WP_ALIGNED(bytes) alignas(bytes)
#define WP_STATIC_ASSERT(condition, message) static_assert(condition, message)
#define WP_THREAD_LOCAL thread_local
#else
#include <stdalign.h>
#define WP_ALIGNED(bytes) alignas(bytes)
#define WP_STATIC_ASSERT(condition, message) _Static_assert(condition, message)
#define WP_THREAD_LOCAL _Thread_local
#endif

/// Holds in debug builds (SwiftPM defines DEBUG there); a programmer's error, never a user's.
#if defined(DEBUG)
#define WP_ASSERT(condition) assert(condition)
#else
#define WP_ASSERT(condition) ((void)sizeof(!(condition)))
#endif

#endif
