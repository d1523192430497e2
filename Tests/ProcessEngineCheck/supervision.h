// What workers do in the scenarios of supervision.c.
#ifndef SUPERVISION_H
#define SUPERVISION_H

#include "check.h"

/// DO_START_BADLY, as an initializer.
void start_badly(const wp_process_request *request, wp_process_reply *reply);

#endif
