#include "wp_fatal.h"

#include <stdio.h>
#include <stdlib.h>

void wp_fatal(const char *message) {
  fprintf(stderr, "swift-worker-pool: %s\n", message);
  abort();
}
