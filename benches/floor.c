/* The program under test, and the bare baseline that `benches/run` compares TSM with. Compiled by it with cc.
 *
 *   serve STAMPS                the service: appends "pid monotonic-ns" (one line of 32 bytes) to STAMPS, then sleeps for ever
 *   flood MIB RESULT            the writer: MIB MiB of numbered lines to standard output; wall and CPU time to RESULT; sleeps for ever
 *   pour MIB RESULT             the same with one piece of memory again and again: what only copies, and makes nothing
 *   move FILE                   moves what comes through standard input, a pipe, into FILE, until its end: splice(2), poll(2), no more
 *   nothing                     returns: what any command costs at least
 *   spawn N DIR -- PROGRAM...   N times fork, setsid, standard output and error into files in DIR, exec; says the pids;
 *                               then waits for its standard input to end, and for the processes to be reaped
 *   keep DIR -- PROGRAM...      the smallest keeper: the same, once, wait, again
 *   list DIR                    reads every file in DIR for a pid and says whether it lives (kill 0)
 *   stop DIR                    the same, but SIGTERM to all and wait until the last is gone
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 100, PIECE = 64 << 10, MOST = 100000 };

static void check(long result, const char *what) {
    if (result < 0) {
        perror(what);
        _exit(111);
    }
}

static long long ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void serve(const char *stamps) {
    char text[64];
    int fd = open(stamps, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    check(fd, stamps);
    snprintf(text, sizeof text, "%10d %20lld\n", (int)getpid(), ns(CLOCK_MONOTONIC));
    check(write(fd, text, 32), stamps);
    close(fd);
    for (;;)
        pause();
}

static void move(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    check(file, path);
    fcntl(0, F_SETPIPE_SZ, 1 << 20);
    for (struct pollfd in = {.fd = 0, .events = POLLIN};;) {
        ssize_t more = splice(0, NULL, file, NULL, PIECE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (!more)
            return;
        if (more < 0 && errno != EAGAIN)
            check(more, "splice");
        if (more < 0)
            check(poll(&in, 1, -1), "poll");
    }
}

static void flood(long mib, const char *result, int makes_lines) {
    static char piece[PIECE + LINE];
    char text[128];
    long long left = (long long)mib << 20, number = 0;
    long long wall = ns(CLOCK_MONOTONIC), cpu = ns(CLOCK_PROCESS_CPUTIME_ID);
    size_t filled = 0;
    while (left > 0) {
        for (; filled < PIECE; filled += LINE) {
            int length = snprintf(piece + filled, LINE, "%012lld ", number++);
            memset(piece + filled + length, 'x', LINE - length);
            piece[filled + LINE - 1] = '\n';
        }
        size_t size = left < PIECE ? left : PIECE;
        for (size_t done = 0; done < size;) {
            ssize_t more = write(1, piece + done, size - done);
            check(more, "write");
            done += more;
        }
        left -= size;
        if (makes_lines) {
            filled -= size;
            memmove(piece, piece + size, filled);
        }
    }
    wall = ns(CLOCK_MONOTONIC) - wall;
    cpu = ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    int fd = open(result, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    check(fd, result);
    check(write(fd, text, snprintf(text, sizeof text, "%lld %lld\n", wall, cpu)), result);
    for (;;)
        pause();
}

static pid_t start(const char *dir, int number, char **program) {
    char out[4096], err[4096];
    pid_t pid = fork();
    check(pid, "fork");
    if (pid)
        return pid;
    setsid();
    snprintf(out, sizeof out, "%s/%d.out", dir, number);
    snprintf(err, sizeof err, "%s/%d.err", dir, number);
    check(dup2(open("/dev/null", O_RDONLY), 0), "/dev/null");
    check(dup2(open(out, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600), 1), out);
    check(dup2(open(err, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600), 2), err);
    execv(program[0], program);
    check(-1, program[0]);
    return 0;
}

static void spawn(int count, const char *dir, char **program) {
    char byte;
    static pid_t pids[MOST];
    for (int i = 0; i < count; i++)
        pids[i] = start(dir, i, program);
    for (int i = 0; i < count; i++)
        printf("%d\n", (int)pids[i]);
    fclose(stdout);
    while (read(0, &byte, 1) > 0) {
    }
    while (wait(NULL) > 0) {
    }
}

static int pids_of(const char *dir, pid_t *pids, int say) {
    int count = 0, root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check(root, dir);
    DIR *entries = fdopendir(root);
    for (struct dirent *entry; (entry = readdir(entries));) {
        char text[32] = "";
        if (entry->d_name[0] == '.')
            continue;
        int fd = openat(root, entry->d_name, O_RDONLY | O_CLOEXEC);
        check(fd, entry->d_name);
        check(read(fd, text, sizeof text - 1), entry->d_name);
        close(fd);
        pids[count] = atoi(text);
        if (say)
            printf("%s %d %s\n", entry->d_name, (int)pids[count], kill(pids[count], 0) ? "gone" : "running");
        count++;
    }
    return count;
}

static void stop(const char *dir) {
    static pid_t pids[MOST];
    static struct pollfd handles[MOST];
    int count = pids_of(dir, pids, 0);
    for (int i = 0; i < count; i++) {
        handles[i].fd = syscall(SYS_pidfd_open, pids[i], 0);
        handles[i].events = POLLIN;
        check(handles[i].fd, "pidfd_open");
        kill(pids[i], SIGTERM);
    }
    for (int i = 0; i < count; i++)
        poll(&handles[i], 1, -1);
}

int main(int count, char **words) {
    const char *mode = count > 1 ? words[1] : "";
    if (!strcmp(mode, "serve") && count == 3)
        serve(words[2]);
    else if (!strcmp(mode, "flood") && count == 4)
        flood(atol(words[2]), words[3], 1);
    else if (!strcmp(mode, "pour") && count == 4)
        flood(atol(words[2]), words[3], 0);
    else if (!strcmp(mode, "move") && count == 3)
        move(words[2]);
    else if (!strcmp(mode, "spawn") && count > 5)
        spawn(atoi(words[2]), words[3], words + 5);
    else if (!strcmp(mode, "keep") && count > 4)
        for (;;)
            waitpid(start(words[2], 0, words + 4), NULL, 0);
    else if (!strcmp(mode, "list") && count == 3)
        pids_of(words[2], (pid_t[MOST]){0}, 1);
    else if (!strcmp(mode, "stop") && count == 3)
        stop(words[2]);
    else if (strcmp(mode, "nothing")) {
        fprintf(stderr, "floor: what is '%s'?\n", mode);
        return 2;
    }
    return 0;
}
