// Whether a call fails: counted, and compared with the one fault of this run.
#include "site.h"

#include "../../CShim/CWorkerPool/src/platform/wp_clock.h"
#include "errors.h"
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

seam_state *seam_here;
static seam_role own_role;
static wp_atomic_u32 held[SEAM_HOLDINGS];

// MARK: Sites

extern seam_site __start_seam_sites[], __stop_seam_sites[];

static struct {
  size_t count;
  const seam_site *sites[SEAM_MAX_SITES];
  char names[SEAM_MAX_SITES][120];
} table;

static const char *file_of(const seam_site *site) {
  const char *slash = strrchr(site->file, '/');
  return slash == NULL ? site->file : slash + 1;
}

/// Those of a header stand in each file that includes it.
static bool same(const seam_site *first, const seam_site *second) {
  return first->line == second->line && strcmp(first->call, second->call) == 0 && strcmp(first->file, second->file) == 0;
}

static size_t put_name(char *name, size_t capacity, const seam_site *site, size_t times) {
  int length = snprintf(name, capacity, "%s:%s:%s", file_of(site), site->function, site->call);
  if (times > 1 && length > 0) length += snprintf(name + length, capacity - (size_t)length, "#%zu", times);
  return length < 0 ? 0 : (size_t)length;
}

static void name_site(size_t place) {
  const seam_site *site = table.sites[place];
  size_t times = 1;
  for (size_t i = 0; i < place; i++) {
    const seam_site *other = table.sites[i];
    times += strcmp(other->call, site->call) == 0 && strcmp(other->file, site->file) == 0 &&
             strcmp(other->function, site->function) == 0;
  }
  put_name(table.names[place], sizeof table.names[place], site, times);
}

static void number_sites(void) {
  for (seam_site *site = __start_seam_sites; site < __stop_seam_sites; site++) {
    if (errors_of(site->call, site->function)[0] == 0) continue;
    size_t place = 0;
    while (place < table.count && !same(table.sites[place], site)) place++;
    if (place == SEAM_MAX_SITES) abort();
    site->number = (int)place;
    if (place < table.count) continue;
    table.sites[table.count++] = site;
    name_site(place);
  }
}

size_t seam_site_count(void) { return table.count; }
const char *seam_site_name(size_t place) { return table.names[place]; }
const int *seam_site_errors(size_t place) { return errors_of(table.sites[place]->call, table.sites[place]->function); }

// MARK: Calls

static void delay(const seam_site *site) {
  uint64_t length = wp_atomic_load(&seam_here->delay_ns, wp_relaxed);
  if (length == 0 || own_role != SEAM_HOST || strncmp(site->call, "sendmsg", 7) != 0) return;
  struct timespec time = {(time_t)(length / 1000000000u), (long)(length % 1000000000u)};
  nanosleep(&time, NULL);
}

/// Whether this call, the `nth` of its phase, is one that fails.
static bool meets(int index, uint32_t nth) {
  const seam_fault *fault = &seam_here->faults[index];
  if (nth < fault->nth) return false;
  if (fault->lasts_ns == 0) return nth == fault->nth;
  uint64_t now = wp_clock_now();
  uint64_t first = 0;
  if (wp_atomic_cas_strong(&seam_here->first_ns[index], &first, now, wp_relaxed, wp_relaxed)) return true;
  return now - first < fault->lasts_ns;
}

int seam_fails(const seam_site *site) {
  if (seam_here == NULL || site->number < 0) return 0;
  delay(site);
  uint32_t phase = wp_atomic_load(&seam_here->phase, wp_relaxed);
  uint32_t nth = wp_atomic_fetch_add(&seam_here->calls[phase][own_role][site->number], 1u, wp_relaxed) + 1;
  for (int i = 0; i < SEAM_FAULTS; i++) {
    const seam_fault *fault = &seam_here->faults[i];
    if (fault->site != site->number || fault->role != own_role || (uint32_t)fault->phase != phase) continue;
    if (!meets(i, nth)) continue;
    wp_atomic_fetch_add(&seam_here->times[i], 1u, wp_relaxed);
    errno = fault->number;
    return fault->number;
  }
  return 0;
}

void seam_holds(int what, int more) { wp_atomic_fetch_add(&held[what], (uint32_t)more, wp_relaxed); }

int seam_held(int what) { return (int)wp_atomic_load(&held[what], wp_relaxed); }

// MARK: Processes

pid_t seam_forked(pid_t process) {
  if (process == 0 && own_role < SEAM_WORKER) own_role++;
  return process;
}

static bool is_crash(int status) {
  if (!WIFSIGNALED(status)) return false;
  const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
  for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
    if (WTERMSIG(status) == faults[i]) return true;
  }
  return false;
}

void seam_reaped(pid_t process, int status) {
  (void)process;
  if (seam_here == NULL || !is_crash(status)) return;
  wp_atomic_fetch_add(&seam_here->crashes[own_role == SEAM_HOST ? SEAM_TEMPLATE : SEAM_WORKER], 1u, wp_relaxed);
  wp_atomic_store(&seam_here->crash_signal, (uint32_t)WTERMSIG(status), wp_relaxed);
}

seam_state *seam_attach(int descriptor) {
  void *memory = mmap(NULL, sizeof(seam_state), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) abort();
  return (seam_state *)memory;
}

/// Before the constructor of the engine, which does not return in a template.
__attribute__((constructor(101))) static void begin(void) {
  number_sites();
  const char *path = getenv("SEAM_STATE");
  int descriptor = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return;
  seam_here = seam_attach(descriptor);
  close(descriptor);
  if (seam_here->host != 0 && seam_here->host != getpid()) own_role = SEAM_TEMPLATE;
}
