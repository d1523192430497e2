// Writing to somebody else's stream without ever waiting for it, and pipes to read from.
//
// Whether writes block is a property of the *open file*, which the host and its other children share: it must not be
// changed. A pipe or terminal is therefore opened once more, without blocking; a socket has a flag for each call; a
// regular file never blocks; and what cannot be opened again is asked by poll before each write.
#ifndef WP_ECHO_H
#define WP_ECHO_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Makes a pipe whose ends are close-on-exec and not among 0...2; reading does not block. False with `errno` set
/// ("pipe2").
bool wp_pipe_open(int ends[2]);

#define WP_ECHO_BYTES 4096u

typedef enum wp_echo_kind { WP_ECHO_PLAIN = 0, WP_ECHO_SOCKET, WP_ECHO_ASK_FIRST } wp_echo_kind;

/// A stream to write to, and what it has not yet taken.
typedef struct wp_echo {
  /// -1 when there is none, or when it takes nothing any more.
  int descriptor;
  wp_echo_kind kind;
  size_t from;
  size_t to;
  unsigned char bytes[WP_ECHO_BYTES];
} wp_echo;

/// Prepares to write to the stream behind `descriptor`, which may be closed.
void wp_echo_open(wp_echo *echo, int descriptor);
/// Whether the stream has not taken everything yet.
bool wp_echo_is_behind(const wp_echo *echo);
/// Writes at most `WP_ECHO_BYTES` bytes; keeps what the stream does not take. Dropped while it is behind.
void wp_echo_write(wp_echo *echo, const unsigned char *bytes, size_t length);
/// Writes what was kept, as far as the stream takes it.
void wp_echo_flush(wp_echo *echo);

#ifdef __cplusplus
}
#endif

#endif
