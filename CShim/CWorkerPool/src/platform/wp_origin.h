// What a program was started with and where it stood at one moment, and starting it anew as if that moment were now.
#ifndef WP_ORIGIN_H
#define WP_ORIGIN_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Arguments, environment, working directory, file mode mask, resource limits, nice value and CPUs. The last two are those of
/// the thread that asks, as they are of every process that it starts.
typedef struct wp_origin wp_origin;

/// Copies what there is now, and opens the working directory. Reads the environment as `getenv` does: not beside a thread that
/// changes it. NULL with `errno` set; `*call` names the call.
wp_origin *wp_origin_take(const char **call);
/// NULL is allowed.
void wp_origin_destroy(wp_origin *self);

/// Starts this program anew, as it was then, with `assignment` ("NAME=value") for what its environment says of that name,
/// and with `descriptor` as its descriptor 3. Signals that the caller has blocked stay blocked in it: block all, since handlers
/// must not run in a process that borrows our memory. Not from two threads at once. Returns 0 or an error number; `*call` names
/// the call.
///
/// What may not be had any more (a hard limit that was lowered, a nice value or a CPU that was taken away) is as it is now.
int wp_origin_start_again(wp_origin *self, const char *assignment, int descriptor, pid_t *process, const char **call);

#ifdef __cplusplus
}
#endif

#endif
