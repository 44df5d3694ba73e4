/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sluice-control: everything that talks to the rest of the world. Starts the modules, waits for
 * signals, stops them in the reverse order. */
#include "control/admin/admin_server.h"
#include "control/chan_server.h"
#include "control/clock_watch.h"
#include "control/fetch.h"
#include "control/l3_start.h"
#include "control/metrics/prometheus.h"
#include "control/upstream/upstream.h"
#include "control/warm.h"

#include "lib/clock.h"
#include "lib/http1.h"
#include "lib/log.h"

#include <argp.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define DEFAULT_CONFIG "/etc/sluice/sluice.yaml"
#define LOOP_ENTRIES   1024u
#define DRAIN_LOOK_NS  (10 * NS_PER_MS)

const char *argp_program_version = "sluice-control " SLUICE_VERSION;

struct options {
	const char *config_path;
	bool check;
};

static const struct argp_option option_table[] = {
        {"config", 'c', "FILE", 0, "Configuration file (default " DEFAULT_CONFIG ")", 0},
        {"check", 'k', NULL, 0, "Check the configuration, say what is wrong with it, and exit", 0},
        {0},
};

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'c':
		o->config_path = arg;
		return 0;
	case 'k':
		o->check = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument '%s'; the file goes behind --config", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp arg_table = {
        .options = option_table,
        .parser = option_parse,
        .doc = "Control plane of Sluice: fetches from the origins what the cores cannot answer.\v"
               "It attaches to the dataplane's socket in run_dir, now or as soon as there is one, "
               "and needs no privilege. Signals: SIGHUP reads the configuration again; SIGTERM and "
               "SIGINT stop after the requests in progress, a second one at once. sluicectl shows "
               "what it does.",
};

struct process {
	struct control ctl;
	int signal_fd;
	struct loop_op signal_op;
	struct loop_timer drain_timer;
	uint64_t drain_until_ns;
	uint64_t grace_until_ns;
};

static void reload_done(void *arg, enum status st, const char *text)
{
	(void)arg;
	(void)st;
	(void)text; /* logged by control_reload */
}

static void drain_look(struct loop_timer *t)
{
	struct process *p = t->arg;
	uint64_t now_ns = loop_now_ns(p->ctl.loop);

	/* Long bodies may take all of drain_ms, unless somebody waits for the next control plane.
	 */
	if (fetcher_active(p->ctl.fetcher) == 0 || now_ns >= p->drain_until_ns ||
	    (now_ns >= p->grace_until_ns && fetcher_left_over(p->ctl.fetcher)))
		loop_stop(p->ctl.loop);
	else
		loop_timer_set(p->ctl.loop, t, now_ns + DRAIN_LOOK_NS);
}

static void stop_begin(struct process *p)
{
	struct control *ctl = &p->ctl;

	if (ctl->draining) {
		log_warn("control", "second signal: stopping at once");
		loop_stop(ctl->loop);
		return;
	}
	log_info("control", "stopping; %u requests in progress", fetcher_active(ctl->fetcher));
	ctl->draining = true;
	p->drain_until_ns = loop_now_ns(ctl->loop) + ctl->config->timeouts.drain_ms * NS_PER_MS;
	p->grace_until_ns =
	        loop_now_ns(ctl->loop) + ctl->config->timeouts.miss_grace_ms * NS_PER_MS;
	drain_look(&p->drain_timer);
}

static void on_signal(struct loop_op *op, int result)
{
	struct process *p = op->arg;
	struct signalfd_siginfo si;

	while (result > 0 && read(p->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGHUP)
			control_reload(&p->ctl, reload_done, NULL);
		else if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT)
			stop_begin(p);
		else
			log_info("control", "signal %u does nothing here", si.ssi_signo);
	}
	if (!op->more && result != -ECANCELED)
		loop_poll(p->ctl.loop, op, p->signal_fd, POLLIN, true);
}

static enum status signals_start(struct process *p)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	/* By habit sent to daemons, to open logs anew: no reason to end. */
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return ST_IO;
	p->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p->signal_fd < 0)
		return ST_IO;
	p->signal_op = (struct loop_op){.fn = on_signal, .arg = p};
	p->drain_timer = (struct loop_timer){.fn = drain_look, .arg = p};
	loop_poll(p->ctl.loop, &p->signal_op, p->signal_fd, POLLIN, true);
	return ST_OK;
}

/* Every origin connection is a descriptor. */
static void raise_file_limit(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) != 0)
		return;
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
}

static enum status start_failed(const char *what, enum status st)
{
	log_error("control", "cannot start %s: %s", what, status_text(st));
	return st;
}

static enum status modules_start(struct process *p)
{
	struct control *ctl = &p->ctl;
	struct loop_config lc = {.entries = LOOP_ENTRIES, .spin_us = ctl->config->control_spin_us};
	enum status st = loop_create(&ctl->loop, &lc);

	if (st != ST_OK)
		return start_failed("io_uring (is kernel.io_uring_disabled 0?)", st);
	st = signals_start(p);
	if (st != ST_OK)
		return start_failed("signal handling", st);
	st = upstreams_create(ctl, &ctl->upstreams);
	if (st != ST_OK)
		return start_failed("the upstreams", st);
	st = l3_start(ctl->config, ctl->loop, &ctl->l3);
	if (st != ST_OK)
		return start_failed("the shared store (cache.l3)", st);
	st = fetcher_create(ctl, &ctl->fetcher);
	if (st == ST_OK)
		st = fetcher_plan_add(ctl->fetcher, ctl->snapshot, ctl->config);
	if (st != ST_OK)
		return start_failed("the fetcher", st);
	fetcher_plan_commit(ctl->fetcher);
	st = chan_server_start(ctl, &ctl->chan);
	if (st != ST_OK)
		return start_failed("the channel", st);
	st = warm_start(ctl, &ctl->warm);
	if (st != ST_OK)
		return start_failed("the warmer (cache.warm)", st);
	st = clock_watch_start(ctl, &ctl->clock);
	if (st != ST_OK)
		return start_failed("the watch of the clock", st);
	st = admin_start(ctl, &ctl->admin);
	if (st != ST_OK)
		return start_failed("the admin socket", st);
	st = metrics_start(ctl, &ctl->metrics);
	return st == ST_OK ? ST_OK : start_failed("the metrics page", st);
}

static void modules_stop(struct process *p)
{
	struct control *ctl = &p->ctl;

	metrics_stop(ctl->metrics);
	if (ctl->admin != NULL)
		admin_stop(ctl->admin);
	clock_watch_stop(ctl->clock);
	if (ctl->chan != NULL)
		chan_server_stop(ctl->chan);
	warm_stop(ctl->warm);
	ctl->warm = NULL;
	if (ctl->fetcher != NULL)
		fetcher_destroy(ctl->fetcher);
	l3_destroy(ctl->l3);
	if (ctl->upstreams != NULL)
		upstreams_destroy(ctl->upstreams);
	loop_destroy(ctl->loop);
	if (p->signal_fd >= 0)
		close(p->signal_fd);
}

static int run(struct process *p)
{
	enum status st;

	raise_file_limit();
	http1_init(NULL);
	st = modules_start(p);
	if (st == ST_OK) {
		log_info("control", "%s of node %s is up", argp_program_version,
		         p->ctl.config->node);
		st = loop_run(p->ctl.loop);
	}
	modules_stop(p);
	return st == ST_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct options opt = {.config_path = DEFAULT_CONFIG};
	struct process p = {.signal_fd = -1};
	struct config_error err = {.text = ""};
	int rc = 1;

	argp_parse(&arg_table, argc, argv, 0, NULL, &opt);
	p.ctl.config_path = opt.config_path;
	p.ctl.started_ns = clock_mono_ns();
	if (config_load(opt.config_path, &p.ctl.first, &err) == ST_OK)
		p.ctl.config = p.ctl.first;
	if (p.ctl.config == NULL || snapshot_build(p.ctl.config, &p.ctl.snapshot, &err) != ST_OK) {
		fprintf(stderr, "sluice-control: %s\n", err.text);
	} else if (opt.check) {
		printf("%s: ok\n", opt.config_path);
		rc = 0;
	} else {
		log_set_level(p.ctl.config->log_level);
		rc = run(&p);
	}
	free(p.ctl.snapshot);
	if (p.ctl.config != p.ctl.first)
		config_free(p.ctl.config);
	config_free(p.ctl.first);
	return rc;
}
