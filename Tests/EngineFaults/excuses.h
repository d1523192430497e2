// Calls that no life here comes by, each with the reason.
#ifndef EXCUSES_H
#define EXCUSES_H

/// NULL for a site that has to be reached.
const char *excuse_of(const char *site);

#endif
