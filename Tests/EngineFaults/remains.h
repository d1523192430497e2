// What a life can leave behind in its host.
#ifndef REMAINS_H
#define REMAINS_H

#include <stddef.h>

typedef struct remains {
  size_t descriptors;
  size_t children;
  size_t memory_files;
  size_t threads;
  /// Of the engine's own: see seam.h.
  int blocks;
  int mappings;
} remains;

remains remains_count(void);
/// Says what is there now and was not before.
void remains_check(remains before);

#endif
