/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/dpdk_port.h"

#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "dataplane/dpdk/eal_dpdk.h"
#include "lib/clock.h"

enum {
	PACKET_BUFFERS = 16384,
	DESCRIPTORS = 1024,
	LOOK_MS = 20,
};

/* The server makes its socket when it starts, and that may be a moment after us. */
static enum status memif_wait(const char *path, char err[TRANSPORT_ERR])
{
	uint64_t deadline_ns = clock_mono_ns() + LOAD_PORT_WAIT_MS * NS_PER_MS;
	struct stat sb;

	while (stat(path, &sb) != 0) {
		struct timespec pause = {.tv_nsec = LOOK_MS * (long)NS_PER_MS};

		if (clock_mono_ns() > deadline_ns)
			return load_port_fail(
			        err, ST_NOTFOUND,
			        "no memif socket at %.120s within %u s; is a sluice-dataplane "
			        "running with a port of type memif, role server, there?",
			        path, LOAD_PORT_WAIT_MS / 1000);
		nanosleep(&pause, NULL);
	}
	if (!S_ISSOCK(sb.st_mode))
		return load_port_fail(err, ST_INVALID, "%.120s is no socket", path);
	return ST_OK;
}

/* The CPU that the thread runs on now, when it does not matter. */
static enum status cpu_choose(int want, unsigned *cpu, char err[TRANSPORT_ERR])
{
	cpu_set_t set;

	*cpu = (unsigned)(want >= 0 ? want : sched_getcpu());
	if (sched_getaffinity(0, sizeof(set), &set) != 0 || *cpu >= CPU_SETSIZE ||
	    !CPU_ISSET(*cpu, &set))
		return load_port_fail(err, ST_INVALID,
		                      "CPU %d is not there, or not for this process", want);
	return ST_OK;
}

/* What is most often missing. */
static const char *device_hint(const struct load_port_plan *plan)
{
	if (plan->type == (int)PORT_MEMIF)
		return " (a server that was killed leaves its socket behind)";
	if (plan->type == (int)PORT_PCI)
		return " (it must be bound to vfio-pci)";
	return "";
}

static enum status port_start(struct load_port *port, const struct transport_config *tc,
                              char err[TRANSPORT_ERR])
{
	struct load_port_plan *plan = &port->plan;
	struct config_listener listeners[NET_MAX_ADDRS] = {0};
	char addr_texts[NET_MAX_ADDRS][IP_ADDR_TEXT];
	static char client[] = "client";
	unsigned cpu;
	struct config_port cp = {
	        .type = (enum config_port_type)plan->type,
	        .interface = plan->name,
	        .device = plan->name,
	        .role = client,
	        .cores = &cpu,
	        .cores_count = 1,
	        .rx_descriptors = DESCRIPTORS,
	        .tx_descriptors = DESCRIPTORS,
	};
	struct config cfg = {
	        .ports = &cp,
	        .ports_count = 1,
	        .listeners = listeners,
	        .listeners_count = plan->local_count,
	        .memory = {.huge_pages = tc->huge_pages ? HUGE_ON : HUGE_OFF,
	                   .packet_buffers = PACKET_BUFFERS},
	};
	char why[512];
	enum status st = cpu_choose(tc->cpu, &cpu, err);

	if (st != ST_OK)
		return st;
	/* Port 0: whatever port a connection of ours has. */
	for (uint32_t i = 0; i < plan->local_count; i++) {
		ip_addr_text(&plan->locals[i], addr_texts[i]);
		listeners[i].address = addr_texts[i];
	}
	st = dpdk_start(&cfg, &port->dpdk, why, sizeof(why));
	if (st == ST_NOMEM && tc->huge_pages)
		return load_port_fail(err, st,
		                      "not enough free huge pages: reserve some (sysctl "
		                      "vm.nr_hugepages=64), or leave --huge-pages out");
	if (st != ST_OK)
		return load_port_fail(err, st, "%.90s cannot be opened%s: %.120s", tc->device,
		                      device_hint(plan), why);
	port->nic = dpdk_nic(port->dpdk, 0);
	st = dpdk_thread_start(port->dpdk, 0);
	if (st == ST_OK)
		return ST_OK;
	dpdk_stop(port->dpdk);
	return load_port_fail(err, st, "the worker cannot be moved to CPU %u", cpu);
}

enum status load_port_open(struct load_port *out, const struct transport_config *cfg,
                           char err[TRANSPORT_ERR])
{
	static bool taken;
	enum status st = load_port_plan_make(&out->plan, cfg, err);

	if (st != ST_OK)
		return st;
	if (__atomic_exchange_n(&taken, true, __ATOMIC_RELAXED))
		return load_port_fail(
		        err, ST_EXISTS,
		        "the dpdk transport has one worker: one queue of one port; start "
		        "another sluice-bench on another port for more");
	if (out->plan.type == (int)PORT_MEMIF) {
		st = memif_wait(out->plan.name, err);
		if (st != ST_OK)
			return st;
	}
	return port_start(out, cfg, err);
}

void load_port_close(struct load_port *port)
{
	dpdk_thread_end(port->dpdk);
	dpdk_stop(port->dpdk);
}
