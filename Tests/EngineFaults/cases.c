#include "cases.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/// A shortage passes, what a rule forbids stays forbidden.
#define SHORTAGE_NS ((uint64_t)150 * 1000000u)
#define FOR_EVER_NS ((uint64_t)3600 * 1000000000u)

static const char *const roles[] = {"host", "template", "worker"};
static const char *const phases[] = {"start", "work", "end"};
static const char *const methods[] = {"automatic", "fork", "reexec"};

void cases_add(case_list *self, const cell_case *what) {
  if (self->count == self->capacity) {
    self->capacity = self->capacity == 0 ? 1024 : self->capacity * 2;
    self->cases = (cell_case *)realloc(self->cases, self->capacity * sizeof *self->cases);
    if (self->cases == NULL) exit(74);
  }
  self->cases[self->count++] = *what;
}

uint64_t cases_random(uint64_t *seed) {
  uint64_t mixed = (*seed += 0x9e3779b97f4a7c15u);
  mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
  return mixed ^ mixed >> 31;
}

void cases_shuffle(case_list *self, uint64_t seed) {
  for (size_t i = self->count; i > 1; i--) {
    size_t other = (size_t)(cases_random(&seed) % i);
    cell_case swapped = self->cases[i - 1];
    self->cases[i - 1] = self->cases[other];
    self->cases[other] = swapped;
  }
}

// MARK: Faults

/// How long a fault may last; 0 for one that is over at once.
static uint64_t duration(int number) {
  switch (number) {
  case EINTR: return 0;
  case EPERM:
  case EACCES:
  case ENOSYS:
  case EINVAL:
  case ENOENT:
  case EOPNOTSUPP: return FOR_EVER_NS;
  default: return SHORTAGE_NS;
  }
}

/// The fault goes behind those that the case has.
static void add_fault(case_list *self, const cell_case *from, seam_fault fault, uint32_t nth, uint64_t lasts_ns) {
  cell_case added = *from;
  int index = added.faults[0].site < 0 ? 0 : 1;
  fault.nth = nth;
  fault.lasts_ns = lasts_ns;
  added.faults[index] = fault;
  cases_add(self, &added);
}

static void add_faults(case_list *self, const cell_case *from, seam_fault fault, uint32_t calls, uint64_t *seed, bool more) {
  for (const int *number = seam_site_errors((size_t)fault.site); *number != 0; number++) {
    fault.number = *number;
    add_fault(self, from, fault, 1, 0);
    if (!more) continue;
    if (calls >= 2) add_fault(self, from, fault, 2, 0);
    if (calls >= 3) add_fault(self, from, fault, 3 + (uint32_t)(cases_random(seed) % (calls - 2)), 0);
    if (duration(*number) != 0) add_fault(self, from, fault, 1, duration(*number));
  }
}

void cases_add_reached(case_list *self, case_reach *reach, const cell_case *from, const seam_state *state, uint64_t *seed,
                       bool more) {
  for (int phase = 0; phase < SEAM_PHASES; phase++) {
    for (int role = 0; role < SEAM_ROLES; role++) {
      for (size_t site = 0; site < seam_site_count(); site++) {
        uint32_t calls = wp_atomic_load(&state->calls[phase][role][site], wp_relaxed);
        if (calls == 0 || reach->reached[phase][role][site]) continue;
        reach->reached[phase][role][site] = true;
        seam_fault fault = {(seam_role)role, (seam_phase)phase, (int)site, 0, 0, 0};
        add_faults(self, from, fault, calls, seed, more);
      }
    }
  }
}

// MARK: Text

static void print_fault(FILE *out, const seam_fault *fault) {
  fprintf(out, "%s/%s/%s=%s@%u", roles[fault->role], phases[fault->phase], seam_site_name((size_t)fault->site),
          strerrorname_np(fault->number), fault->nth);
  if (fault->lasts_ns != 0) fprintf(out, "~%llu", (unsigned long long)(fault->lasts_ns / 1000000u));
}

void cases_print(FILE *out, const cell_case *what) {
  fprintf(out, "%s/%s", life_stories[what->story].name, methods[what->method]);
  for (int i = 0; i < SEAM_FAULTS; i++) {
    if (what->faults[i].site < 0) continue;
    fputc(i == 0 ? ':' : '+', out);
    print_fault(out, &what->faults[i]);
  }
}

/// Takes one of `names` and the character behind it off the text; its place, or -1.
static int take_name(const char **text, const char *const *names, int count, char end) {
  for (int i = 0; i < count; i++) {
    size_t length = strlen(names[i]);
    if (strncmp(*text, names[i], length) != 0 || ((*text)[length] != end && (*text)[length] != '\0')) continue;
    *text += length + ((*text)[length] == end);
    return i;
  }
  return -1;
}

static int take_site(const char **text) {
  const char *end = strchr(*text, '=');
  for (size_t i = 0; end != NULL && i < seam_site_count(); i++) {
    const char *name = seam_site_name(i);
    if (strlen(name) != (size_t)(end - *text) || strncmp(*text, name, (size_t)(end - *text)) != 0) continue;
    *text = end + 1;
    return (int)i;
  }
  return -1;
}

static int take_error(const char **text) {
  const char *end = strchr(*text, '@');
  for (int number = 1; end != NULL && number < 134; number++) {
    const char *name = strerrorname_np(number);
    if (name == NULL || strlen(name) != (size_t)(end - *text) || strncmp(*text, name, strlen(name)) != 0) continue;
    *text = end + 1;
    return number;
  }
  return 0;
}

static bool read_fault(const char **text, seam_fault *fault) {
  int role = take_name(text, roles, SEAM_ROLES, '/');
  int phase = role < 0 ? -1 : take_name(text, phases, SEAM_PHASES, '/');
  fault->site = phase < 0 ? -1 : take_site(text);
  fault->number = fault->site < 0 ? 0 : take_error(text);
  if (fault->number == 0) return false;
  fault->role = (seam_role)role;
  fault->phase = (seam_phase)phase;
  char *end;
  fault->nth = (uint32_t)strtoul(*text, &end, 10);
  if (*end == '~') fault->lasts_ns = strtoull(end + 1, &end, 10) * 1000000u;
  *text = end;
  return true;
}

bool cases_read(const char *text, cell_case *what) {
  memset(what, 0, sizeof *what);
  const char *stories[16];
  int count = 0;
  for (; life_stories[count].name != NULL; count++) stories[count] = life_stories[count].name;
  for (int i = 0; i < SEAM_FAULTS; i++) what->faults[i].site = -1;
  what->story = take_name(&text, stories, count, '/');
  int method = what->story < 0 ? -1 : take_name(&text, methods, 3, ':');
  if (method < 0) return false;
  what->method = (wp_start_method)method;
  for (int i = 0; i < SEAM_FAULTS && *text != '\0'; i++) {
    if (i > 0) text++;
    if (!read_fault(&text, &what->faults[i])) return false;
  }
  return *text == '\0';
}
