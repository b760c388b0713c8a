/* A disk that is stuck: while the file named by STUCK_DISK exists, no sync
 * returns, and the first one that does not makes a file of the same name with
 * ".stuck" behind. Preloaded into a process under test. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void stick(void)
{
    const char *gate = getenv("STUCK_DISK");
    const struct timespec pause = {0, 5 * 1000 * 1000};
    char mark[4096];

    if (gate == NULL || access(gate, F_OK) != 0)
        return;
    snprintf(mark, sizeof mark, "%s.stuck", gate);
    close(open(mark, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    while (access(gate, F_OK) == 0)
        nanosleep(&pause, NULL);
}

int fdatasync(int fd)
{
    int (*next)(int);
    *(void **)&next = dlsym(RTLD_NEXT, "fdatasync");
    stick();
    return next(fd);
}

int fsync(int fd)
{
    int (*next)(int);
    *(void **)&next = dlsym(RTLD_NEXT, "fsync");
    stick();
    return next(fd);
}
