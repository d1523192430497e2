// Faults that were found to do harm, which every run begins with.
#ifndef KEPT_H
#define KEPT_H

/// As `cases_print` writes them, ended by NULL.
extern const char *const kept_cases[];

#endif
