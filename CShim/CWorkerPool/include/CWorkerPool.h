// CWorkerPool: the native engine of swift-worker-pool.
//
// A plain C API: handles are opaque, every call that can fail returns a `wp_status`, and what failed
// is described in the `wp_error` that the caller passes in. The headers can be read in this order.
#ifndef WP_CWORKERPOOL_H
#define WP_CWORKERPOOL_H

#include "wp_base.h"
#include "wp_notice.h"
#include "wp_wait.h"
#include "wp_fork.h"
#include "wp_delivery.h"
#include "wp_topology.h"
#include "wp_thread_pool.h"
#include "wp_blocking.h"
#include "wp_fork_join.h"
#include "wp_memory.h"
#include "wp_process_settings.h"
#include "wp_process_data.h"
#include "wp_process_pool.h"

#endif
