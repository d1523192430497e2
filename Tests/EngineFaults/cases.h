// Which faults there are to be met, by what lives without a fault have come by.
#ifndef CASES_H
#define CASES_H

#include "cell.h"

#include <stdio.h>

typedef struct case_list {
  cell_case *cases;
  size_t count;
  size_t capacity;
} case_list;

/// By role, phase and site: whether some life came by.
typedef struct case_reach {
  bool reached[SEAM_PHASES][SEAM_ROLES][SEAM_MAX_SITES];
} case_reach;

void cases_add(case_list *self, const cell_case *what);
/// Puts them into another order, the same for the same seed.
void cases_shuffle(case_list *self, uint64_t seed);
/// Adds the faults at what this life came by and none has before, after its own faults: of the calls that came `more` than
/// once also the second, and one by the seed.
void cases_add_reached(case_list *self, case_reach *reach, const cell_case *from, const seam_state *state, uint64_t *seed,
                       bool more);

/// "plain/fork:host/work/wp_socket.c:wp_socket_send:sendmsg=ENOMEM@1", "~150" behind it for how many milliseconds the fault
/// lasts, and a second one after a "+".
void cases_print(FILE *out, const cell_case *what);
/// False when it says nothing that is known.
bool cases_read(const char *text, cell_case *what);

uint64_t cases_random(uint64_t *seed);

#endif
