/* SPDX-License-Identifier: MIT */
#include "server/server.h"

#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/timer.h"
#include "server/admin/config.h"
#include "server/admin/latency.h"
#include "server/admin/memory.h"
#include "server/admin/rates.h"
#include "server/admin/stats.h"
#include "server/cache/cache.h"
#include "server/command/acl.h"
#include "server/command/client_memory.h"
#include "server/command/databases.h"
#include "server/command/keyspace.h"
#include "server/command/clients.h"
#include "server/command/command.h"
#include "server/command/notifier.h"
#include "server/command/parts.h"
#include "server/command/pause.h"
#include "server/command/pubsub.h"
#include "server/command/slowlog.h"
#include "server/command/tracking.h"
#include "server/lookup/feed.h"
#include "server/lookup/changes.h"
#include "server/lookup/lookup.h"
#include "server/lookup/lost.h"
#include "server/lookup/watch.h"
#include "server/net/conn.h"
#include "server/net/listener.h"
#include "server/net/loop.h"
#include "server/net/signals.h"
#include "server/net/ticker.h"
#include "server/net/tls.h"
#include "server/notify.h"
#include "server/store/store.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

/* How often copies whose expiry has passed are looked for, and how many are
 * dropped each time: enough for 100 000 expiring keys a second. */
#define EXPIRE_EVERY_US 100000
#define EXPIRE_AT_ONCE 10000

/* A loop and what the watchdog knows of it. */
struct io {
    struct loop *loop;
    struct running *running;
    bool answered; /* The last question; main thread only. */
};

struct running {
    struct server server;       /* First: what commands and connections see. */
    struct mapping_set *tables; /* Borrowed. */
    struct timers *timers;
    struct watches *watches;
    struct changes *changes;
    struct loop *main_loop;
    struct io *io;
    struct loop **io_loops;
    size_t n_io;
    struct listener *listener;
    struct tls_settings *tls; /* NULL: no tls-port. */
    struct signals *signals;
    struct ticker *watchdog;
    struct ticker *expirer;
    struct ticker *sampler;
    int64_t expire_us;     /* Of expiring, and not counted as a millisecond yet;
                          main thread only. */
    size_t n_draining;     /* Loops whose connections are not all closed. */
    _Atomic bool stopping; /* Set once; relaxed: only keeps it to one stop. */
};

/* ---- what changes at run time ---- */

static void apply_loglevel(void *arg)
{
    log_set_level((enum log_level)config_number(arg, CONFIG_loglevel));
}

static void apply_latency_threshold(void *arg)
{
    latency_set_threshold(config_number(arg, CONFIG_latency_monitor_threshold));
}

static void apply_maxmemory(void *arg)
{
    struct running *run = arg;

    cache_set_max_bytes(
        run->server.cache,
        (size_t)config_number(run->server.config, CONFIG_maxmemory));
}

static void apply_maxmemory_clients(void *arg)
{
    const struct running *run = arg;

    client_memory_enforce(&run->server);
}

static void apply_negative_memory(void *arg)
{
    struct running *run = arg;

    cache_set_negative_share(
        run->server.cache,
        config_number(run->server.config, CONFIG_negative_memory));
}

static void apply_requirepass(void *arg)
{
    struct running *run = arg;
    struct buf password = {0};

    config_string(run->server.config, CONFIG_requirepass, &password);
    acl_set_default_password(run->server.acl, buf_slice(&password));
    buf_destroy(&password);
}

/* One event, one line: 'detail' has a line for each complaint. */
static void log_lines(enum log_level level, const char *event,
                      const struct buf *detail)
{
    struct slice rest = buf_slice(detail);

    while (rest.size > 0) {
        const char *end = memchr(rest.data, '\n', rest.size);
        const size_t size = end != NULL ? (size_t)(end - rest.data) : rest.size;
        log_at(level, "server: %s: %.*s", event, (int)size, rest.data);
        rest.data += end != NULL ? size + 1 : size;
        rest.size -= end != NULL ? size + 1 : size;
    }
}

/* New certificates, for connections that begin from now on. */
static void apply_tls(void *arg)
{
    struct running *run = arg;
    struct buf detail = {0};

    if (run->tls != NULL &&
        tls_settings_reload(run->tls, run->server.config, &detail) != ERR_OK) {
        log_lines(LOG_LEVEL_ERROR, "TLS stays as it was", &detail);
    }
    buf_destroy(&detail);
}

static void reload(struct running *run)
{
    struct server *server = &run->server;
    struct buf detail = {0};

    if (server->config_path[0] == '\0') {
        log_info("server: reload asked, but there is no config file");
        return;
    }
    notify_send("RELOADING=1");
    if (config_load(server->config, server->config_path, true, &detail) !=
        ERR_OK) {
        log_lines(LOG_LEVEL_ERROR, "reload failed, nothing changed", &detail);
    } else {
        log_info("server: reloaded file=%s", server->config_path);
        log_lines(LOG_LEVEL_NOTICE, "not changed until a restart", &detail);
        apply_tls(run); /* The files may be others. */
    }
    buf_destroy(&detail);
    notify_send("READY=1");
}

/* ---- stopping ---- */

/* On the main loop: a loop has no connections any more. */
static void on_drained(void *arg)
{
    struct running *run = arg;

    if (--run->n_draining == 0) {
        loop_break(run->main_loop);
    }
}

/* On an I/O loop. */
static void tell_drained(void *arg)
{
    struct io *io = arg;

    loop_post(io->running->main_loop, on_drained, io->running);
}

/* On an I/O loop: closes its connections in order. */
static void drain(void *arg)
{
    struct io *io = arg;
    const struct config *config = io->running->server.config;

    conn_close_all(io->loop,
                   clock_now_us() +
                       config_number(config, CONFIG_shutdown_timeout),
                   tell_drained, io);
}

/* On the main loop. */
static void begin_stop(void *arg)
{
    struct running *run = arg;

    notify_send("STOPPING=1");
    log_info("server: stopping clients=%zu",
             clients_count(run->server.clients));
    listener_close(run->listener);
    run->listener = NULL;
    run->n_draining = run->n_io;
    for (size_t i = 0; i < run->n_io; i++) {
        loop_post(run->io[i].loop, drain, &run->io[i]);
    }
}

static void stop(struct server *server)
{
    struct running *run = container_of(server, struct running, server);

    if (!atomic_exchange_explicit(&run->stopping, true, memory_order_relaxed)) {
        loop_post(run->main_loop, begin_stop, run);
    }
}

static void on_signal(int signo, void *arg)
{
    struct running *run = arg;

    if (signo == SIGHUP) {
        reload(run);
        return;
    }
    if (atomic_load_explicit(&run->stopping, memory_order_relaxed)) {
        log_warn("server: signal %d while stopping: ended at once", signo);
        _exit(128 + signo);
    }
    log_info("server: signal %d", signo);
    stop(&run->server);
}

/* ---- the watchdog: every loop must still turn ---- */

/* On the main loop. */
static void loop_answered(void *arg)
{
    struct io *io = arg;

    io->answered = true;
}

/* On an I/O loop. */
static void answer_watchdog(void *arg)
{
    struct io *io = arg;

    loop_post(io->running->main_loop, loop_answered, io);
}

static void feed_watchdog(void *arg)
{
    struct running *run = arg;
    bool all_answered = true;

    for (size_t i = 0; i < run->n_io; i++) {
        struct io *io = &run->io[i];
        if (!io->answered) {
            all_answered = false;
            continue;
        }
        io->answered = false;
        loop_post(io->loop, answer_watchdog, io);
    }
    if (all_answered) {
        notify_send("WATCHDOG=1");
    }
}

static void drop_expired(void *arg)
{
    struct running *run = arg;

    const int64_t began_us = clock_now_us();

    if (atomic_load_explicit(&run->server.keeps_expired,
                             memory_order_relaxed)) {
        return;
    }
    lost_want(run->server.lookup, LOSSES_FOR_EVENTS,
              pubsub_hears_changes(run->server.pubsub));
    cache_expire_some(run->server.cache, clock_wall_ms(), EXPIRE_AT_ONCE);
    lost_tell(run->server.lookup);
    tracking_tick(run->server.tracking);
    const int64_t took_us = clock_now_us() - began_us;
    latency_note(LATENCY_expire_cycle, took_us);
    run->expire_us += took_us;
    stats_add(STATS_expire_cycle_cpu_milliseconds, run->expire_us / 1000);
    run->expire_us %= 1000;
}

static void sample(void *arg)
{
    (void)arg;
    (void)memory_used_bytes(); /* So that no peak lasts and is not seen. */
    rates_sample();
}

/* ---- building ---- */

/* Room for 'maxclients' and for our own files, as far as the system lets us. */
static void raise_file_limit(const struct config *config)
{
    const rlim_t wanted = (rlim_t)config_number(config, CONFIG_maxclients) + 64;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) {
        return;
    }
    limit.rlim_cur = wanted;
    if (limit.rlim_max < wanted) {
        limit.rlim_max = wanted; /* Root may. */
    }
    if (setrlimit(RLIMIT_NOFILE, &limit) == 0) {
        return;
    }
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted) {
        log_warn("server: fewer clients than maxclients fit under the limit "
                 "of open files; raise it to %llu (LimitNOFILE=, ulimit -n)",
                 (unsigned long long)wanted);
    }
}

static void draw_run_id(char run_id[41])
{
    unsigned char random[20] = {0};

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        log_warn("server: no random bytes for the run id");
    }
    for (size_t i = 0; i < sizeof random; i++) {
        static const char digits[] = "0123456789abcdef";
        run_id[2 * i] = digits[random[i] >> 4];
        run_id[2 * i + 1] = digits[random[i] & 15];
    }
    run_id[40] = '\0';
}

static enum err enter_directory(const struct config *config, struct buf *detail)
{
    struct buf dir = {0};
    enum err err = ERR_OK;

    config_string(config, CONFIG_dir, &dir);
    if (chdir(buf_string(&dir)) != 0) {
        buf_printf(detail, "cannot use dir %s: %s", buf_string(&dir),
                   strerror(errno));
        err = ERR_NOT_FOUND;
    }
    buf_destroy(&dir);
    return err;
}

/* Tells the configuration which tables there are. */
static enum err tell_tables(struct config *config, const struct mappings *all,
                            struct buf *detail)
{
    const char *names[CONFIG_TABLES_MAX];
    size_t n = 0;

    for (; n < all->count && n < CONFIG_TABLES_MAX; n++) {
        names[n] = all->list[n].table;
    }
    return config_table_check(config, names, n, detail);
}

static enum err build_store(struct running *run, struct buf *detail)
{
    struct config *config = run->server.config;
    const struct store_options options = {
        .config = config, .tables = run->tables, .timers = run->timers};
    const enum err err = store_open(&run->server.store, &options, detail);

    return err == ERR_OK
               ? tell_tables(config, store_mappings(run->server.store), detail)
               : err;
}

static void build_cache(struct running *run)
{
    struct server *server = &run->server;
    const struct cache_options options = {
        .n_shards = (size_t)config_number(server->config, CONFIG_cache_shards),
        .max_bytes = (size_t)config_number(server->config, CONFIG_maxmemory),
        .negative_share =
            config_number(server->config, CONFIG_negative_memory)};

    server->cache = cache_new(&options);
    server->databases =
        databases_new((size_t)config_number(server->config, CONFIG_databases));
    server->keyspace = keyspace_new(server);
    run->watches = watches_new();
    server->pubsub = pubsub_new();
    run->changes = changes_new();
    changes_listen(run->changes, notifier_hear, server);
    server->tracking = tracking_new(server);
    changes_listen(run->changes, tracking_hear, server->tracking);
    const struct lookup_parts parts = {.config = server->config,
                                       .cache = server->cache,
                                       .store = server->store,
                                       .timers = run->timers,
                                       .changes = run->changes,
                                       .watches = run->watches};
    server->timers = run->timers;
    server->lookup = lookup_new(&parts);
    server->clients = clients_new();
    server->slowlog = slowlog_new();
    server->client_memory = client_memory_new();
    server->pause = pause_new();
    server->acl = acl_new(server->config);
}

/* What others change must be known before anything is cached. */
static enum err watch_store(struct running *run, struct buf *detail)
{
    const struct store_observer observer =
        feed_observer(lookup_feed(run->server.lookup));

    return store_observe(run->server.store, &observer, detail);
}

/* Under 'plain-writes none' what the store has of plain keys is of no use. */
static enum err load_databases(struct running *run, struct buf *detail)
{
    const struct server *server = &run->server;
    enum err err = ERR_OK;

    if (config_number(server->config, CONFIG_plain_writes) != WRITES_NONE) {
        err = databases_load(server->databases, server->store);
    }
    if (err != ERR_OK) {
        buf_printf(detail, "cannot read which databases were swapped: %s",
                   err_str(err));
    }
    return err;
}

static enum err build_loops(struct running *run, struct buf *detail)
{
    const size_t n =
        (size_t)config_number(run->server.config, CONFIG_io_threads);
    enum err err = loop_new(&run->main_loop, "main");

    run->io = xcalloc(n, sizeof *run->io);
    run->io_loops = xcalloc(n, sizeof(struct loop *));
    for (size_t i = 0; i < n && err == ERR_OK; i++) {
        char name[32];
        snprintf(name, sizeof name, "io/%zu", i);
        run->io[i] = (struct io){.running = run, .answered = true};
        err = loop_new(&run->io[i].loop, name);
        if (err == ERR_OK) {
            run->io_loops[i] = run->io[i].loop;
            run->n_io = i + 1;
            err = loop_start(run->io[i].loop);
        }
    }
    if (err != ERR_OK) {
        buf_printf(detail, "cannot start the threads of %zu event loops: %s", n,
                   err_str(err));
    }
    return err;
}

static enum err build_listener(struct running *run, struct buf *detail)
{
    struct server *server = &run->server;
    struct buf bind = {0};
    struct buf unix_path = {0};

    config_string(server->config, CONFIG_bind, &bind);
    config_string(server->config, CONFIG_unixsocket, &unix_path);
    const struct listener_options options = {
        .bind = buf_string(&bind),
        .port = (int)config_number(server->config, CONFIG_port),
        .tls_port = (int)config_number(server->config, CONFIG_tls_port),
        .tls = run->tls,
        .unix_path = buf_string(&unix_path),
        .unix_mode = (int)config_number(server->config, CONFIG_unixsocketperm),
        .backlog = (int)config_number(server->config, CONFIG_tcp_backlog),
        .server = server,
        .accept_loop = run->main_loop,
        .io_loops = run->io_loops,
        .n_io_loops = run->n_io};
    const enum err err = listener_open(&run->listener, &options, detail);
    if (err == ERR_OK) {
        server->port = listener_port(run->listener);
    }
    buf_destroy(&bind);
    buf_destroy(&unix_path);
    return err;
}

static enum err build_tls(struct running *run, struct buf *detail)
{
    static const enum config_id ids[] = {
        CONFIG_tls_cert_file,     CONFIG_tls_key_file,
        CONFIG_tls_key_file_pass, CONFIG_tls_ca_cert_file,
        CONFIG_tls_ca_cert_dir,   CONFIG_tls_auth_clients,
        CONFIG_tls_protocols,     CONFIG_tls_ciphers,
        CONFIG_tls_ciphersuites};
    struct config *config = run->server.config;

    if (config_number(config, CONFIG_tls_port) == 0) {
        return ERR_OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        config_on_change(config, ids[i], apply_tls, run);
    }
    return tls_settings_new(&run->tls, config, detail);
}

static enum err build(struct running *run, struct buf *detail)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    struct config *config = run->server.config;
    enum err err = enter_directory(config, detail);

    if (err == ERR_OK && (err = timers_start(&run->timers)) != ERR_OK) {
        buf_append_string(detail, "cannot start the timer thread");
    }
    if (err == ERR_OK) {
        err = build_store(run, detail);
    }
    if (err == ERR_OK) {
        build_cache(run);
        err = acl_load_configured(run->server.acl, detail);
    }
    if (err == ERR_OK) {
        err = watch_store(run, detail);
    }
    if (err == ERR_OK) {
        err = load_databases(run, detail);
    }
    if (err == ERR_OK) {
        err = build_loops(run, detail);
    }
    if (err != ERR_OK) {
        return err;
    }
    run->signals = signals_watch(run->main_loop, signals, ARRAY_LEN(signals),
                                 on_signal, run);
    if (run->signals == NULL) {
        buf_append_string(detail, "cannot watch signals");
        return ERR_SYSTEM;
    }
    config_on_change(config, CONFIG_loglevel, apply_loglevel, config);
    config_on_change(config, CONFIG_latency_monitor_threshold,
                     apply_latency_threshold, config);
    config_on_change(config, CONFIG_requirepass, apply_requirepass, run);
    config_on_change(config, CONFIG_maxmemory, apply_maxmemory, run);
    config_on_change(config, CONFIG_maxmemory, apply_maxmemory_clients, run);
    config_on_change(config, CONFIG_maxmemory_clients, apply_maxmemory_clients,
                     run);
    config_on_change(config, CONFIG_negative_memory, apply_negative_memory,
                     run);
    err = build_tls(run, detail);
    return err == ERR_OK ? build_listener(run, detail) : err;
}

/* In exact reverse; also of a half-built server.  An error says why writes that
 * were accepted are lost. */
static enum err tear_down(struct running *run)
{
    struct server *server = &run->server;

    listener_close(run->listener);
    ticker_cancel(run->sampler);
    ticker_cancel(run->expirer);
    ticker_cancel(run->watchdog);
    signals_close(run->signals);
    for (size_t i = 0; i < run->n_io; i++) {
        loop_stop(run->io[i].loop);
    }
    /* The last answers of the store and of the timers wait in the loops, which
     * run them when they are closed: so every request comes to its end. */
    const enum err lost = store_close(server->store);
    if (run->timers != NULL) {
        timers_stop(run->timers);
    }
    for (size_t i = 0; i < run->n_io; i++) {
        loop_close(run->io[i].loop);
    }
    for (size_t i = 0; i < run->n_io; i++) {
        loop_free(run->io[i].loop);
    }
    slowlog_free(server->slowlog);
    pause_free(server->pause);
    client_memory_free(server->client_memory);
    clients_free(server->clients);
    tls_settings_free(run->tls);
    acl_free(server->acl);
    keyspace_free(server->keyspace);
    databases_free(server->databases);
    lookup_free(server->lookup);
    watches_free(run->watches);
    changes_free(run->changes);
    tracking_free(server->tracking);
    pubsub_free(server->pubsub);
    cache_free(server->cache);
    timers_free(run->timers);
    loop_free(run->main_loop);
    free(run->io_loops);
    free(run->io);
    return lost;
}

static void serve(struct running *run)
{
    const int64_t watchdog_us = notify_watchdog_us();

    if (watchdog_us > 0) {
        /* Half of it, as sd_watchdog_enabled(3) advises. */
        run->watchdog =
            loop_every(run->main_loop, watchdog_us / 2, feed_watchdog, run);
    }
    run->expirer =
        loop_every(run->main_loop, EXPIRE_EVERY_US, drop_expired, run);
    run->server.startup_bytes = memory_used_bytes();
    run->sampler = loop_every(run->main_loop, RATES_EVERY_US, sample, run);
    log_info("server: ready port=%d pid=%ld", run->server.port, (long)getpid());
    notify_send("READY=1\nSTATUS=Serving on port %d", run->server.port);
    loop_run(run->main_loop);
}

enum err server_maintain(struct config *config, struct mapping_set *tables,
                         enum store_task task, struct buf *report,
                         struct buf *detail)
{
    const struct store_options options = {.config = config, .tables = tables};
    const enum err err = enter_directory(config, detail);

    apply_loglevel(config);
    return err == ERR_OK ? store_maintain(&options, task, report, detail) : err;
}

enum err server_run(struct config *config, struct mapping_set *tables,
                    const char *config_path, struct buf *detail)
{
    struct running run = {
        .tables = tables,
        .server = {.config = config,
                   .config_path = config_path != NULL ? config_path : "",
                   .started_us = clock_now_us(),
                   .stop = stop}};

    notify_init();
    apply_loglevel(config);
    apply_latency_threshold(config);
    hash_init();
    command_init();
    draw_run_id(run.server.run_id);
    raise_file_limit(config);
    const enum err err = build(&run, detail);
    if (err == ERR_OK) {
        serve(&run);
    }
    const enum err lost = tear_down(&run);
    if (err != ERR_OK) {
        return err;
    }
    if (lost == ERR_OK) {
        log_info("server: stopped");
    } else {
        log_error("server: stopped, and writes that were accepted are lost "
                  "err=\"%s\"",
                  err_str(lost));
    }
    return lost;
}
