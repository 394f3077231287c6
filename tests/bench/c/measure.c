/* measure FILE COMMAND...: runs a command and writes what it cost to FILE, as one line of JSON. Its exit code is passed on.
 *
 * A process starts with the peak memory of the one that made it, so a driver of 30 MB cannot measure a program of 10; this
 * one is small. Ended by a signal, it ends the command first. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static double seconds(struct timeval time) { return time.tv_sec + time.tv_usec / 1e6; }

int main(int count, char **words) {
    if (count < 3) {
        fprintf(stderr, "usage: measure FILE COMMAND...\n");
        return 2;
    }
    pid_t self = getpid(), child = fork();
    if (child < 0) {
        perror("measure: fork");
        return 126;
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != self)
            _exit(126);
        execvp(words[2], words + 2);
        fprintf(stderr, "measure: cannot run %s: %s\n", words[2], strerror(errno));
        _exit(127);
    }
    int status;
    struct rusage usage;
    while (wait4(child, &status, 0, &usage) < 0)
        if (errno != EINTR) {
            perror("measure: wait4");
            return 126;
        }
    FILE *file = fopen(words[1], "w");
    if (!file) {
        perror("measure: cannot write");
        return 126;
    }
    fprintf(file, "{\"cpu_seconds\":%.6f,\"peak_kib\":%ld,\"voluntary_switches\":%ld,\"involuntary_switches\":%ld}\n",
            seconds(usage.ru_utime) + seconds(usage.ru_stime), usage.ru_maxrss, usage.ru_nvcsw, usage.ru_nivcsw);
    fclose(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
