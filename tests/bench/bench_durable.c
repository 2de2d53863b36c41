/* SPDX-License-Identifier: MIT */
/*
 * Durable SETs, side by side with Redis: plain-writes through against
 * appendfsync always, on the same disk, one after the other, the same load
 * generator for both.
 *
 *     bench_durable [SETS]
 *
 * 50 connections, 100 000 keys, values of 100 bytes, pipelines of 1 and 16.
 * Needs redis-server and redis-benchmark; without them it says so.  The
 * processor time is that of the server, for each SET.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/attr.h"
#include "common/buf.h"
#include "tests/support/load.h"
#include "tests/support/stress.h"

static long n_sets = 200000;

/* What redis-benchmark says of 'port': SETs a second, and the latency that half
 * and 99 of 100 were below, in ms. */
struct figures {
    double per_second, p50_ms, p99_ms;
};

static bool measure(int port, int pipeline, struct figures *f)
{
    struct buf command = {0};
    char line[512];
    bool found = false;

    buf_printf(&command,
               "redis-benchmark -h 127.0.0.1 -p %d -t set -n %ld -r 100000 "
               "-d 100 -c 50 -P %d --csv 2>/dev/null",
               port, n_sets * pipeline, pipeline);
    FILE *output = popen(buf_string(&command), "r");
    CHECK(output != NULL);
    while (fgets(line, sizeof(line), output) != NULL) {
        found = found || sscanf(line,
                                "\"SET\",\"%lf\",\"%*f\",\"%*f\",\"%lf\","
                                "\"%*f\",\"%lf\"",
                                &f->per_second, &f->p50_ms, &f->p99_ms) == 3;
    }
    (void)pclose(output);
    buf_destroy(&command);
    return found;
}

static void report(const char *who, int pipeline, const struct figures *f,
                   int64_t cpu_us)
{
    printf("%-6s pipeline %2d: %8.0f SET/s, p50 %6.2f ms, p99 %6.2f ms, "
           "%5.2f us of processor each\n",
           who, pipeline, f->per_second, f->p50_ms, f->p99_ms,
           (double)cpu_us / (double)(n_sets * pipeline));
    (void)fflush(stdout);
}

static double measure_bookd(int pipeline)
{
    static const char *const args[] = {"--plain-writes", "through",
                                       "--loglevel", "warn", NULL};
    struct daemon d = {0};
    struct figures f;
    int64_t user_us;

    daemon_start(&d, args);
    const int64_t before_us = daemon_cpu_us(d.pid, &user_us);
    CHECK(measure(d.port, pipeline, &f));
    report("bookd", pipeline, &f, daemon_cpu_us(d.pid, &user_us) - before_us);
    printf("       %.0f writes a commit\n",
           (double)daemon_info(&d, "store_writes") /
               (double)daemon_info(&d, "store_commits"));
    daemon_stop(&d);
    daemon_remove(&d);
    return f.per_second;
}

/* A redis-server of our own; its directory is removed by stop_redis(). */
static pid_t start_redis(char *directory, int port)
{
    char number[16];

    CHECK(mkdtemp(directory) != NULL);
    (void)snprintf(number, sizeof(number), "%d", port);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        const int null = open("/dev/null", O_RDWR);
        (void)dup2(null, STDOUT_FILENO);
        execlp("redis-server", "redis-server", "--port", number, "--bind",
               "127.0.0.1", "--dir", directory, "--appendonly", "yes",
               "--appendfsync", "always", "--save", "", (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void stop_redis(pid_t pid, const char *directory)
{
    struct buf command = {0};

    (void)kill(pid, SIGTERM);
    (void)waitpid(pid, NULL, 0);
    buf_printf(&command, "rm -r '%s'", directory);
    CHECK(system(buf_string(&command)) == 0);
    buf_destroy(&command);
}

/* 0 if there is no Redis. */
static double measure_redis(int pipeline)
{
    const char *parent = getenv("TMPDIR");
    char directory[128];
    struct figures f;
    int64_t user_us;

    (void)snprintf(directory, sizeof(directory), "%s/bench-redis-XXXXXX",
                   parent == NULL || strlen(parent) > 64 ? "/tmp" : parent);
    /* A port below those that the system hands out; whose it is shows when it
     * cannot be had. */
    const int port = 20000 + (int)(getpid() % 10000);
    const pid_t pid = start_redis(directory, port);
    bool found = false;
    for (int i = 0; i < 50 && !found; i++) {
        (void)usleep(100000);
        if (waitpid(pid, NULL, WNOHANG) != 0) {
            (void)rmdir(directory);
            return 0;
        }
        const struct daemon redis = {.port = port};
        const int fd = daemon_try_connect(&redis);
        found = fd >= 0;
        if (found) {
            (void)close(fd);
        }
    }
    const int64_t before_us = daemon_cpu_us(pid, &user_us);
    found = found && measure(port, pipeline, &f);
    if (found) {
        report("redis", pipeline, &f, daemon_cpu_us(pid, &user_us) - before_us);
    }
    stop_redis(pid, directory);
    return found ? f.per_second : 0;
}

int main(int argc, char **argv)
{
    static const int pipelines[] = {1, 16};

    if (argc > 1) {
        n_sets = atol(argv[1]);
    }
    if (n_sets <= 0 || system("redis-benchmark --version >/dev/null 2>&1")) {
        printf("bench_durable [SETS]; needs redis-benchmark\n");
        return 0;
    }
    load_print_machine();
    for (size_t i = 0; i < ARRAY_LEN(pipelines); i++) {
        const double bookd = measure_bookd(pipelines[i]);
        const double redis = measure_redis(pipelines[i]);
        if (redis > 0) {
            printf("       %.2f times Redis\n", bookd / redis);
        }
    }
    return 0;
}
