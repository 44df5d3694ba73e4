/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sluice-dataplane: reads the configuration, takes all memory, starts one thread a core, and then
 * only keeps house: the attach socket and signals. */
#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "dataplane/attach.h"
#include "dataplane/dpdk/eal_dpdk.h"
#include "dataplane/net/net_shared.h"
#include "dataplane/path.h"
#include "lib/doorbell.h"
#include "lib/log.h"

#define STEP_MS      10
#define STEP_BUSY_MS 1

const char *argp_program_version = "sluice-dataplane " SLUICE_VERSION;

struct options {
	const char *config;
	bool check;
};

static const struct argp_option argp_options[] = {
        {"config", 'c', "FILE", 0, "Configuration file (default /etc/sluice/sluice.yaml)", 0},
        {"check", 'k', NULL, 0, "Check the configuration, say what is wrong with it, and exit", 0},
        {0},
};

static error_t argp_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'c':
		o->config = arg;
		return 0;
	case 'k':
		o->check = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument '%s'", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp_spec = {
        .options = argp_options,
        .parser = argp_option,
        .doc = "Sluice's dataplane: takes packets from the ports that the configuration names, "
               "answers "
               "HTTP requests from per-core tables, and passes misses to sluice-control.\v"
               "Signals: TERM and INT drain connections for at most timeouts.drain_ms, then stop; "
               "a second one stops at once. HUP is no reload here, and ends nothing: see "
               "sluicectl config reload.\n"
               "Example: sluice-dataplane --config docs/examples/minimal.yaml",
};

struct worker {
	struct core *core;
	struct dpdk *dpdk;
	unsigned index;
	pthread_t thread;
	bool started;
};

struct dataplane {
	struct config *cfg;
	struct dpdk *dpdk;
	struct chan chan;
	struct attach *attach;
	struct worker *workers;
	struct core_control *controls;
	struct core_listener *listeners;
	int *core_fds;
	int control_fd;
	uint32_t cores;
	uint64_t hash_seed;
	uint8_t fast_open_seed[TCP_SEED_BYTES];
	struct net_shared *net_shared; /* one a port */
	struct hot_share *share;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	/* Short sleeps of an idle core shall be as short as asked. */
	prctl(PR_SET_TIMERSLACK, 1000ul, 0ul, 0ul, 0ul);
	if (dpdk_thread_start(w->dpdk, w->index) == ST_OK)
		core_run(w->core);
	else
		log_error("main", "core %u: cannot register its thread with DPDK", w->index);
	return NULL;
}

static enum status listeners_make(struct dataplane *d)
{
	d->listeners = calloc(d->cfg->listeners_count, sizeof(d->listeners[0]));
	if (d->listeners == NULL)
		return ST_NOMEM;
	for (unsigned i = 0; i < d->cfg->listeners_count; i++) {
		if (!ip_addr_parse(d->cfg->listeners[i].address, &d->listeners[i].addr))
			return ST_INVALID;
		d->listeners[i].port = d->cfg->listeners[i].port;
	}
	return ST_OK;
}

static enum status channel_make(struct dataplane *d)
{
	const struct config_memory *m = &d->cfg->memory;
	struct chan_geometry geo = {
	        .cores = d->cores,
	        .ring_entries = m->channel_ring_entries,
	        .up_block_bytes = m->up_block_bytes,
	        .up_blocks = m->up_blocks,
	        .down_block_bytes = m->down_block_bytes,
	        .down_blocks = m->down_blocks,
	};
	enum status st = chan_create(&d->chan, &geo, m->huge_pages == HUGE_ON);

	if (st != ST_OK)
		return st;
	d->chan.hdr->hash_seed = d->hash_seed;
	st = doorbell_create(&d->control_fd);
	for (uint32_t i = 0; i < d->cores && st == ST_OK; i++)
		st = doorbell_create(&d->core_fds[i]);
	return st;
}

/* Cores count through the ports in the configuration's order. */
static void port_place(const struct dataplane *d, uint32_t core, struct core_config *cc)
{
	unsigned p = 0;

	for (; p + 1 < d->cfg->ports_count && core >= d->cfg->ports[p].cores_count; p++)
		core -= d->cfg->ports[p].cores_count;
	cc->net_shared = &d->net_shared[p];
	cc->queue = core;
	cc->queues = d->cfg->ports[p].cores_count;
}

static enum status core_make(struct dataplane *d, uint32_t i, const struct snapshot *snap)
{
	const struct config_memory *m = &d->cfg->memory;
	struct core_config cc = {
	        .index = i,
	        .cpu = dpdk_core_cpu(d->dpdk, i),
	        .nic = dpdk_nic(d->dpdk, i),
	        .config = d->cfg,
	        .listeners = d->listeners,
	        .listener_count = d->cfg->listeners_count,
	        .stats = chan_stats(&d->chan, i),
	        .up_base = chan_up_base(&d->chan, i),
	        .up_block_bytes = m->up_block_bytes,
	        .up_blocks = m->up_blocks,
	        .down_block_bytes = m->down_block_bytes,
	        .down_blocks = m->down_blocks,
	        .snapshot = snap,
	        .hash_seed = d->hash_seed,
	        .share = d->share,
	        .fast_open_seed = d->fast_open_seed,
	        .now_ns = clock_mono_ns(),
	        .wall_ns = clock_wall_ns(),
	};

	port_place(d, i, &cc);
	chan_port_core(&d->chan, i, &cc.port);
	cc.port.ring_fd = d->control_fd;
	cc.port.wait_fd = d->core_fds[i];
	return core_create(&d->workers[i].core, &cc, &d->controls[i]);
}

static enum status threads_start(struct dataplane *d)
{
	for (uint32_t i = 0; i < d->cores; i++) {
		struct worker *w = &d->workers[i];
		cpu_set_t cpus;
		pthread_attr_t attr;
		int err;

		w->dpdk = d->dpdk;
		w->index = i;
		CPU_ZERO(&cpus);
		CPU_SET(dpdk_core_cpu(d->dpdk, i), &cpus);
		pthread_attr_init(&attr);
		pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
		err = pthread_create(&w->thread, &attr, worker_main, w);
		pthread_attr_destroy(&attr);
		if (err != 0) {
			log_error("main", "core %u: cannot start a thread on CPU %u: %s", i,
			          dpdk_core_cpu(d->dpdk, i), strerror(err));
			return ST_IO;
		}
		w->started = true;
	}
	return ST_OK;
}

static enum status net_shared_make(struct dataplane *d)
{
	size_t bytes = d->cfg->ports_count * sizeof(d->net_shared[0]);
	enum status st = ST_OK;

	d->net_shared = aligned_alloc(CACHE_LINE, bytes);
	if (d->net_shared == NULL)
		return ST_NOMEM;
	memset(d->net_shared, 0, bytes);
	for (unsigned p = 0; p < d->cfg->ports_count && st == ST_OK; p++)
		st = net_shared_open(&d->net_shared[p], d->cfg->ports[p].cores_count);
	return st;
}

static const char *socket_remedy(enum status st)
{
	switch (st) {
	case ST_EXISTS:
		return "another dataplane runs with this run_dir";
	case ST_NOTFOUND:
		return "of run_dir only the last directory is made: make the others, or name "
		       "another "
		       "(run_dir)";
	default:
		return "may this user write there? See run_dir";
	}
}

static enum status dataplane_start(struct dataplane *d, struct snapshot *snap)
{
	char why[512] = "";
	enum status st = dpdk_start(d->cfg, &d->dpdk, why, sizeof(why));

	if (st != ST_OK) {
		log_error("main", "ports: %s", why);
		return st;
	}
	d->cores = dpdk_core_count(d->dpdk);
	d->workers = calloc(d->cores, sizeof(d->workers[0]));
	d->core_fds = calloc(d->cores, sizeof(d->core_fds[0]));
	d->controls = aligned_alloc(CACHE_LINE, d->cores * sizeof(d->controls[0]));
	if (d->workers == NULL || d->core_fds == NULL || d->controls == NULL ||
	    net_shared_make(d) != ST_OK)
		return ST_NOMEM;
	memset(d->controls, 0, d->cores * sizeof(d->controls[0]));
	for (uint32_t i = 0; i < d->cores; i++)
		d->core_fds[i] = -1;
	random_bytes(&d->hash_seed, sizeof(d->hash_seed));
	random_bytes(d->fast_open_seed, sizeof(d->fast_open_seed));
	st = channel_make(d);
	if (st == ST_OK)
		st = hot_share_create(&d->share, d->cores);
	for (uint32_t i = 0; i < d->cores && st == ST_OK; i++)
		st = core_make(d, i, snap);
	if (st != ST_OK) {
		log_error("main", "memory: %s; lower memory.* or limits.*", status_text(st));
		return st;
	}
	hot_share_link(d->share);
	struct attach_config ac = {
	        .run_dir = d->cfg->run_dir,
	        .chan = &d->chan,
	        .cores = d->controls,
	        .core_count = d->cores,
	        .control_fd = d->control_fd,
	        .core_fds = d->core_fds,
	        .snapshot = snap,
	};
	st = attach_create(&d->attach, &ac);
	if (st != ST_OK) {
		log_error("main", "%s/dataplane.sock: %s; %s", d->cfg->run_dir, status_text(st),
		          socket_remedy(st));
		return st;
	}
	return threads_start(d);
}

static bool all_drained(struct dataplane *d)
{
	for (uint32_t i = 0; i < d->cores; i++)
		if (!__atomic_load_n(&d->controls[i].drained, __ATOMIC_ACQUIRE))
			return false;
	return true;
}

static void drain_begin(struct dataplane *d)
{
	log_info("main", "draining for at most %u ms; a second signal stops at once",
	         d->cfg->timeouts.drain_ms);
	for (uint32_t i = 0; i < d->cores; i++)
		__atomic_store_n(&d->controls[i].drain_ms, d->cfg->timeouts.drain_ms,
		                 __ATOMIC_RELEASE);
}

static void touch_ahead(struct dataplane *d)
{
	for (uint32_t i = 0; i < d->cores; i++)
		tcp_touch_ahead(d->workers[i].core->tcp);
}

/* A signal to stop has come. */
static bool stop_asked(int sig_fd)
{
	struct signalfd_siginfo si;

	if (read(sig_fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return false;
	if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT)
		return true;
	log_info("main", "signal %u does nothing here; sluicectl config reload reads the file",
	         si.ssi_signo);
	return false;
}

/* Until a signal says stop and the drain is over. */
static void dataplane_run(struct dataplane *d, int sig_fd)
{
	struct pollfd fds[1 + ATTACH_POLL_FDS];
	uint64_t drain_until_ns = 0;
	uint64_t watch_ns = 0;

	for (;;) {
		unsigned n = 1;

		fds[0] = (struct pollfd){.fd = sig_fd, .events = POLLIN};
		n += attach_poll_fds(d->attach, fds + 1);
		poll(fds, n, attach_busy(d->attach) ? STEP_BUSY_MS : STEP_MS);
		attach_step(d->attach);
		touch_ahead(d);
		if (clock_mono_ns() >= watch_ns) {
			dpdk_watch(d->dpdk);
			watch_ns = clock_mono_ns() + NS_PER_S;
		}
		if (stop_asked(sig_fd)) {
			if (drain_until_ns != 0)
				return;
			drain_begin(d);
			drain_until_ns =
			        clock_mono_ns() + (d->cfg->timeouts.drain_ms + 200) * NS_PER_MS;
		}
		if (drain_until_ns != 0 && (all_drained(d) || clock_mono_ns() >= drain_until_ns))
			return;
	}
}

static void dataplane_stop(struct dataplane *d)
{
	for (uint32_t i = 0; i < d->cores && d->workers != NULL; i++) {
		__atomic_store_n(&d->controls[i].stop, 1, __ATOMIC_RELEASE);
		if (d->workers[i].started) {
			doorbell_ring(d->core_fds[i]);
			pthread_join(d->workers[i].thread, NULL);
		}
	}
	if (d->attach != NULL)
		attach_destroy(d->attach);
	for (uint32_t i = 0; i < d->cores && d->workers != NULL; i++)
		if (d->workers[i].core != NULL)
			core_destroy(d->workers[i].core);
	hot_share_destroy(d->share);
	if (d->dpdk != NULL)
		dpdk_stop(d->dpdk);
	if (d->chan.hdr != NULL)
		chan_close(&d->chan);
	free(d->workers);
	free(d->core_fds);
	free(d->controls);
	for (unsigned p = 0; p < d->cfg->ports_count && d->net_shared != NULL; p++)
		net_shared_close(&d->net_shared[p]);
	free(d->net_shared);
	free(d->listeners);
}

/* Blocked before any thread starts, so that only the main loop sees them. */
static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	/* By habit sent to daemons, to reload or to open logs anew: no reason to drop clients. */
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

int main(int argc, char **argv)
{
	struct options opts = {.config = "/etc/sluice/sluice.yaml"};
	struct dataplane d = {.control_fd = -1};
	struct snapshot *snap = NULL;
	struct config_error err = {0};
	int sig_fd, rc = 1;

	argp_parse(&argp_spec, argc, argv, 0, NULL, &opts);
	if (config_load(opts.config, &d.cfg, &err) != ST_OK ||
	    snapshot_build(d.cfg, &snap, &err) != ST_OK) {
		fprintf(stderr, "sluice-dataplane: %s\n", err.text);
		return 1;
	}
	if (opts.check) {
		printf("%s: ok\n", opts.config);
		return 0;
	}
	log_set_level(d.cfg->log_level);
	http1_init(NULL);
	clock_cycles_per_ns();
	sig_fd = signals_open();
	if (listeners_make(&d) == ST_OK && dataplane_start(&d, snap) == ST_OK) {
		dpdk_warn_shared(d.cfg);
		log_info("main", "ready: %u core(s), pid %d", d.cores, getpid());
		dataplane_run(&d, sig_fd);
		rc = 0;
	}
	dataplane_stop(&d);
	config_free(d.cfg);
	log_info("main", "stopped");
	return rc;
}
