/* Preloaded into crun where root may not raise its limits: crun asks for more locked memory before it loads the
 * device filter of cgroup v2 and gives up when it is refused, although Linux has not looked at that limit since 5.11. */
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int set(int resource, const void *limit) {
  int result = syscall(SYS_prlimit64, 0, resource, limit, 0);
  return result < 0 && errno == EPERM ? 0 : result;
}
int setrlimit(int resource, const void *limit) { return set(resource, limit); }
int setrlimit64(int resource, const void *limit) { return set(resource, limit); }
