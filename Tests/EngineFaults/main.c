// Fault injection at the seam of the engine's system calls.
//
//     engine-faults all [SEED]            every fault, and those that are met in dealing with one
//     engine-faults seconds N [SEED]      as many as there is time for, in an order by the seed
//     engine-faults case CASE             one again, as it was printed
//     engine-faults delayed               whether anybody waits for messages to the template
//     engine-faults sites                 the calls that can fail
//
// Each life of a pool is led once without a fault; what it comes by is made to fail in lives of their own: by each call,
// process, phase and error number, the first, the second and some later time, and for a while. Whatever fails: each task ends
// once, the life ends, and nothing is left. Calls that no life came by are named at the end.
#include "cases.h"
#include "excuses.h"
#include "kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

enum { AT_ONCE = 2, WAYS = 400 };

typedef struct way {
  char text[160];
  size_t count;
} way;

typedef struct tally {
  case_list list;
  case_reach reach;
  uint64_t seed;
  size_t met;
  size_t unmet;
  size_t failed;
  /// How pools took their faults.
  way ways[WAYS];
  size_t way_count;
} tally;

// MARK: Results

/// Digits are all the same: they name tasks and processes.
static void note_way(tally *self, const char *taken) {
  char text[160];
  size_t length = 0;
  for (; taken[length] != '\0' && length + 1 < sizeof text; length++) {
    char c = taken[length];
    text[length] = c >= '0' && c <= '9' ? '#' : c;
  }
  text[length] = '\0';
  size_t i = 0;
  while (i < self->way_count && strcmp(self->ways[i].text, text) != 0) i++;
  if (i == WAYS) return;
  if (i == self->way_count) memcpy(self->ways[self->way_count++].text, text, sizeof text);
  self->ways[i].count++;
}

/// An interrupted call is made again: nobody notices.
static void check_interrupted(const cell *ended) {
  const seam_fault *fault = &ended->what.faults[0];
  if (fault->site < 0 || fault->number != EINTR || ended->what.faults[1].site >= 0) return;
  if (strcmp(ended->state->taken, "as ever") == 0 || ended->state->failures > 0) return;
  seam_here = ended->state;
  life_fails("an interrupted call was not made again: %s", ended->state->taken);
  seam_here = NULL;
}

static void note(tally *self, const cell *ended) {
  bool met = wp_atomic_load(&ended->state->times[0], wp_relaxed) > 0;
  bool clean = ended->what.faults[0].site < 0;
  check_interrupted(ended);
  self->met += met;
  self->unmet += !met && !clean;
  if (met) note_way(self, ended->state->taken);
  if (ended->state->failures == 0) return;
  self->failed++;
  printf("FAILED ");
  cases_print(stdout, &ended->what);
  printf("  %s [%s]\n", ended->state->text, ended->state->taken);
  fflush(stdout);
}

// MARK: Running

static cell *find(cell cells[AT_ONCE], pid_t process) {
  for (int i = 0; i < AT_ONCE; i++) {
    if (cells[i].process == process) return &cells[i];
  }
  return NULL;
}

/// Runs the cases from `first` on, until all are done or the time is over; their number. What they come by that was not
/// known is added behind them if `deeper`.
static size_t run(tally *self, size_t first, time_t until, bool deeper) {
  cell cells[AT_ONCE] = {0};
  size_t end = self->list.count;
  size_t next = first;
  int running = 0;
  for (;;) {
    cell *free_cell = find(cells, 0);
    if (free_cell != NULL && next < end && (until == 0 || time(NULL) < until)) {
      cell_begin(free_cell, &self->list.cases[next++]);
      running++;
      continue;
    }
    if (running == 0) return next - first;
    pid_t process = wait(NULL);
    cell *ended = find(cells, process);
    if (process <= 0 || ended == NULL) continue;
    note(self, ended);
    // What has failed already fails with a second fault, too.
    bool is_last = ended->what.faults[SEAM_FAULTS - 1].site >= 0 || ended->state->failures > 0;
    if (deeper && !is_last) {
      bool more = ended->what.faults[0].site < 0;
      cases_add_reached(&self->list, &self->reach, &ended->what, ended->state, &self->seed, more);
    }
    cell_end(ended);
    running--;
  }
}

static void add_lives(case_list *list) {
  for (int story = 0; life_stories[story].name != NULL; story++) {
    for (int method = WP_START_FORK; method <= WP_START_REEXEC; method++) {
      bool (*is_possible)(wp_start_method) = life_stories[story].is_possible;
      if (is_possible != NULL && !is_possible((wp_start_method)method)) continue;
      cell_case alone = {story, (wp_start_method)method, {{.site = -1}, {.site = -1}}};
      cases_add(list, &alone);
    }
  }
}

/// Puts those that are known to be worth it at the place `first`, and what was there behind the others. False when one of them
/// is no case any more.
static bool add_kept(case_list *list, size_t first) {
  for (size_t i = 0; kept_cases[i] != NULL; i++) {
    cell_case what;
    if (!cases_read(kept_cases[i], &what)) {
      printf("no such case any more: %s\n", kept_cases[i]);
      return false;
    }
    cases_add(list, &what);
    list->cases[list->count - 1] = list->cases[first + i];
    list->cases[first + i] = what;
  }
  return true;
}

/// Whether some life came by the site.
static bool is_reached(const case_reach *reach, size_t site) {
  for (int phase = 0; phase < SEAM_PHASES; phase++) {
    for (int role = 0; role < SEAM_ROLES; role++) {
      if (reach->reached[phase][role][site]) return true;
    }
  }
  return false;
}

/// How many were not reached without an excuse. Which ones, only a run says that had the time for all faults: some calls are
/// made in dealing with one.
static size_t report_reach(const tally *self, bool complete) {
  size_t reached = 0, excused = 0;
  for (size_t site = 0; site < seam_site_count(); site++) {
    const char *excuse = excuse_of(seam_site_name(site));
    bool came_by = is_reached(&self->reach, site);
    reached += came_by;
    excused += !came_by && excuse != NULL;
    if (came_by || !complete) continue;
    if (excuse != NULL) printf("not reached: %s (%s)\n", seam_site_name(site), excuse);
    else printf("NOT REACHED: %s\n", seam_site_name(site));
  }
  size_t missed = seam_site_count() - reached - excused;
  printf("%zu calls: %zu reached, %zu with a reason not to be, %zu %s\n", seam_site_count(), reached, excused, missed,
         complete ? "never reached" : "not in this time");
  return complete ? missed : 0;
}

static int by_count(const void *first, const void *second) {
  size_t a = ((const way *)first)->count, b = ((const way *)second)->count;
  return a < b ? 1 : a > b ? -1 : 0;
}

static void report(tally *self) {
  qsort(self->ways, self->way_count, sizeof self->ways[0], by_count);
  for (size_t i = 0; i < self->way_count; i++) printf("%6zu  %s\n", self->ways[i].count, self->ways[i].text);
  printf("%zu faults were met, %zu were not; %zu failed (seed %llu)\n", self->met, self->unmet, self->failed,
         (unsigned long long)self->seed);
}

static int run_for(long seconds, uint64_t seed) {
  static tally self;
  self.seed = seed;
  time_t until = seconds == 0 ? 0 : time(NULL) + seconds;
  add_lives(&self.list);
  size_t done = run(&self, 0, 0, true);
  case_list faults = {self.list.cases + done, self.list.count - done, 0};
  cases_shuffle(&faults, seed);
  if (!add_kept(&self.list, done)) return 1;
  while (done < self.list.count && (until == 0 || time(NULL) < until)) {
    done += run(&self, done, until, until == 0);
  }
  size_t left = self.list.count - done;
  self.seed = seed;
  report(&self);
  size_t missed = report_reach(&self, until == 0);
  if (left > 0) printf("%zu faults are left for other seeds\n", left);
  return self.failed > 0 || missed > 0;
}

static int run_case(const char *text) {
  cell only;
  cell_case what;
  if (!cases_read(text, &what)) {
    fprintf(stderr, "no such case: %s\n", text);
    return 64;
  }
  cell_begin(&only, &what);
  waitpid(only.process, NULL, 0);
  check_interrupted(&only);
  printf("met %u times: %s\n%s\n", wp_atomic_load(&only.state->times[0], wp_relaxed), only.state->taken,
         only.state->failures == 0 ? "all holds" : only.state->text);
  return only.state->failures > 0;
}

/// One life that is no case of `all`.
static int run_delayed(void) {
  return run_case("delayed/fork") | run_case("delayed/reexec");
}

int main(int count, char **arguments) {
  if (count == 5 && strcmp(arguments[1], "live") == 0) return cell_live(arguments + 2);
  if (count == 3 && strcmp(arguments[1], "case") == 0) return run_case(arguments[2]);
  if (count == 2 && strcmp(arguments[1], "sites") == 0) {
    for (size_t i = 0; i < seam_site_count(); i++) printf("%s\n", seam_site_name(i));
    return 0;
  }
  if (count == 2 && strcmp(arguments[1], "delayed") == 0) return run_delayed();
  uint64_t seed = (uint64_t)time(NULL);
  if (count >= 2 && strcmp(arguments[1], "all") == 0) {
    if (count > 2) seed = strtoull(arguments[2], NULL, 10);
    return run_for(0, seed);
  }
  if (count >= 3 && strcmp(arguments[1], "seconds") == 0) {
    if (count > 3) seed = strtoull(arguments[3], NULL, 10);
    return run_for(atol(arguments[2]), seed);
  }
  fprintf(stderr, "engine-faults all [SEED]|seconds N [SEED]|case CASE|delayed|sites\n");
  return 64;
}
