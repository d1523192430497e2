// One life in processes of its own: whatever becomes of it, it ends within a time, and what it leaves is seen and ended.
#ifndef CELL_H
#define CELL_H

#include "life.h"

/// A life to be led, with its faults.
typedef struct cell_case {
  int story;
  wp_start_method method;
  /// `site` is -1 for none.
  seam_fault faults[SEAM_FAULTS];
} cell_case;

typedef struct cell {
  cell_case what;
  pid_t process;
  int file;
  seam_state *state;
} cell;

/// Begins a life; ends the program when that cannot be had.
void cell_begin(cell *self, const cell_case *what);
/// The state of a cell whose process has ended is read until this.
void cell_end(cell *self);
/// In the process that a cell has started: `arguments` as the cell gave them.
int cell_live(char **arguments);

#endif
