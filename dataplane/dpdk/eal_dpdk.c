/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/eal_dpdk.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/dpdk/dpdk_int.h"
#include "dataplane/dpdk/rte.h"
#include "lib/log.h"

enum status dpdk_fail(struct dpdk *d, enum status st, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->err, d->errlen, fmt, ap);
	va_end(ap);
	return st;
}

/* Lays out ports and cores and refuses what the EAL would not explain. */
static enum status plan(struct dpdk *d)
{
	const struct config *cfg = d->cfg;
	enum status st = ST_OK;

	if (cfg->ports_count == 0 || cfg->ports_count > DPDK_MAX_PORTS)
		return dpdk_fail(d, ST_INVALID, "between 1 and %d ports are possible, not %u",
		                 DPDK_MAX_PORTS, cfg->ports_count);
	for (unsigned i = 0; st == ST_OK && i < cfg->ports_count; i++) {
		const struct config_port *c = &cfg->ports[i];
		struct dpdk_port *port = &d->ports[d->port_count++];

		port->cfg = c;
		port->lock_fd = -1;
		port->first_core = d->core_count;
		if (c->cores_count == 0 || c->cores_count > DPDK_MAX_CORES - d->core_count)
			return dpdk_fail(d, ST_INVALID, "at most %d cores are possible in all",
			                 DPDK_MAX_CORES);
		for (unsigned q = 0; q < c->cores_count; q++)
			d->nics[d->core_count++].cpu = c->cores[q];
		st = port_check(d, port);
	}
	return st;
}

static enum status check_cpus(struct dpdk *d)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return dpdk_fail(d, ST_IO, "the CPUs of this process cannot be read");
	for (unsigned i = 0; i < d->core_count; i++) {
		unsigned cpu = d->nics[i].cpu;

		if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &set))
			return dpdk_fail(
			        d, ST_INVALID,
			        "CPU %u does not exist or is not available to this process; "
			        "change the port's cores",
			        cpu);
		for (unsigned j = 0; j < i; j++) {
			if (d->nics[j].cpu == cpu)
				return dpdk_fail(
				        d, ST_INVALID,
				        "CPU %u is given to two queues; each needs its own", cpu);
		}
	}
	return ST_OK;
}

/* The first line that DPDK wrote: it names the cause, the later ones what followed from it. */
static char *first_line(char *log)
{
	log[strcspn(log, "\n")] = '\0';
	return log;
}

/* What the kernel says of the XDP program belongs with DPDK's words. */
static int bpf_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(rte_log_get_stream(), fmt, ap) : 0;
}

/* Moves this thread off the CPUs of poll cores, when there are others: the EAL's own threads, made
 * by it, run where it may, and must not take a poll core's CPU from it. net_memif unmaps the memory
 * of a peer that went away there, and the core might be in the middle of reading it
 * (docs/decisions/memif-peer-gone.md). */
static void leave_poll_cpus(const struct dpdk *d, const cpu_set_t *all)
{
	cpu_set_t others = *all;

	for (unsigned i = 0; i < d->core_count; i++)
		CPU_CLR(d->nics[i].cpu, &others);
	if (CPU_COUNT(&others) > 0)
		pthread_setaffinity_np(pthread_self(), sizeof(others), &others);
}

static enum status eal_start(struct dpdk *d)
{
	struct eal_args args = {0};
	enum status st;
	cpu_set_t before;

	if (pthread_getaffinity_np(pthread_self(), sizeof(before), &before) != 0)
		return dpdk_fail(d, ST_IO, "the CPUs of this process cannot be read");
	leave_poll_cpus(d, &before);
	st = eal_args_make(d, &args);
	if (st != ST_OK)
		goto out;
	if (rte_eal_init(args.argc, args.argv) < 0)
		st = dpdk_fail(d, rte_errno == EACCES || rte_errno == EPERM ? ST_DENIED : ST_IO,
		               "DPDK did not start: %s", rte_strerror(rte_errno));
	else
		d->eal = true;
out:
	pthread_setaffinity_np(pthread_self(), sizeof(before), &before);
	if (st != ST_OK && d->err[0] == '\0')
		dpdk_fail(d, st, "DPDK's arguments could not be made: %s", status_text(st));
	eal_args_free(&args);
	return st;
}

static enum status start_all(struct dpdk *d)
{
	enum status st = check_cpus(d);

	if (st == ST_OK)
		st = eal_start(d);
	for (unsigned i = 0; st == ST_OK && i < d->port_count; i++)
		st = port_open(d, &d->ports[i]);
	return st;
}

enum status dpdk_start(const struct config *cfg, struct dpdk **out, char *err, size_t errlen)
{
	struct dpdk *d = aligned_alloc(CACHE_LINE, align_up(sizeof(*d), CACHE_LINE));
	char *log = NULL;
	size_t log_len = 0;
	enum status st;
	FILE *capture;

	err[0] = '\0';
	if (d == NULL) {
		snprintf(err, errlen, "no memory");
		return ST_NOMEM;
	}
	memset(d, 0, sizeof(*d));
	d->cfg = cfg;
	d->err = err;
	d->errlen = errlen;
	capture = open_memstream(&log, &log_len);
	if (capture != NULL)
		rte_openlog_stream(capture);
	libbpf_set_print(bpf_print);
	st = plan(d);
	if (st == ST_OK)
		st = start_all(d);
	/* From here on DPDK's errors go where ours go. */
	rte_openlog_stream(stderr);
	if (capture != NULL)
		fclose(capture);
	if (st != ST_OK && log != NULL && log[0] != '\0') {
		size_t used = strlen(err);

		snprintf(err + used, errlen - used, " (DPDK: %s)", first_line(log));
	}
	free(log);
	if (st != ST_OK) {
		dpdk_stop(d);
		return st;
	}
	d->cfg = NULL;
	*out = d;
	return ST_OK;
}

void dpdk_stop(struct dpdk *d)
{
	if (d == NULL)
		return;
	for (unsigned i = d->port_count; i > 0; i--)
		port_close(d, &d->ports[i - 1]);
	if (d->eal)
		rte_eal_cleanup();
	free(d);
}

void dpdk_warn_shared(const struct config *cfg)
{
	char name[IF_NAMESIZE];

	for (unsigned i = 0; i < cfg->listeners_count; i++)
		if (iface_has_address(cfg->listeners[i].address, name))
			log_warn("ports",
			         "listener %s is an address of this host (%s) too: its ARP, "
			         "neighbor discovery and ICMP are the dataplane's now; take one "
			         "that "
			         "the kernel does not have",
			         cfg->listeners[i].address, name);
}

void dpdk_watch(struct dpdk *d)
{
	for (unsigned p = 0; p < d->port_count; p++) {
		struct dpdk_port *port = &d->ports[p];
		char name[IF_NAMESIZE];

		if (port->iface.index == 0)
			continue;
		if (if_indextoname((unsigned)port->iface.index, name) != NULL) {
			memcpy(port->watched, name, sizeof(name));
		} else if (errno == ENXIO && port->watched[0] != '\0') {
			log_error("ports",
			          "interface %s was taken away: nothing comes by it any more; "
			          "restart when there is one of that name again",
			          port->watched);
			port->watched[0] = '\0';
		}
	}
}

unsigned dpdk_core_count(const struct dpdk *d)
{
	return d->core_count;
}

unsigned dpdk_core_cpu(const struct dpdk *d, unsigned core_index)
{
	return d->nics[core_index].cpu;
}

struct nic *dpdk_nic(struct dpdk *d, unsigned core_index)
{
	return &d->nics[core_index];
}

enum status dpdk_thread_start(struct dpdk *d, unsigned core_index)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(d->nics[core_index].cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
		return ST_INVALID;
	return rte_thread_register() == 0 ? ST_OK : ST_NOMEM;
}

void dpdk_thread_end(struct dpdk *d)
{
	(void)d;
	rte_thread_unregister();
}
