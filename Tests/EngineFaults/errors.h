// With which error numbers which call may fail.
#ifndef ERRORS_H
#define ERRORS_H

/// Ended by 0; empty for a call that cannot fail, or of which a fault would be a lie.
const int *errors_of(const char *call, const char *function);

#endif
