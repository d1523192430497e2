#include "CStress.h"

#include "../../CShim/CWorkerPool/src/thread/wp_cancelled.h"

uint64_t cs_cancelled_count(const void *pool) { return wp_cancelled_count((const wp_thread_pool *)pool); }
