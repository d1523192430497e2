// What futures of the parent do in a child that somebody else forked: exit status 0 when everything was as expected, else
// what was not, on standard output. A program of its own: in a test runner other threads hold locks when it is forked.
import CStress
import Glibc

alarm(120)  // one that hangs shall not hang the tests
let futures = try ParentsFutures()
let status = cs_fork_and_call({ _ in futures.check() }, nil)
futures.end()
exit(status)
