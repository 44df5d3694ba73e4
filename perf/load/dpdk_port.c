/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/dpdk_port.h"

#include <sched.h>
#include <stdarg.h>
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

static enum status fail(char err[TRANSPORT_ERR], enum status st, const char *fmt, ...) PRINTF(3, 4);

static enum status fail(char err[TRANSPORT_ERR], enum status st, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, TRANSPORT_ERR, fmt, ap);
	va_end(ap);
	return st;
}

static const struct device_kind {
	const char *prefix;
	enum config_port_type type;
} device_kinds[] = {
        {"memif:", PORT_MEMIF}, {"af_xdp:", PORT_AF_XDP}, {"af_packet:", PORT_AF_PACKET},
        {"tap:", PORT_TAP},     {"pci:", PORT_PCI},
};

static enum status device_read(struct load_port_plan *p, const char *device,
                               char err[TRANSPORT_ERR])
{
	const char *name = NULL;

	for (size_t i = 0; i < ARRAY_LEN(device_kinds); i++) {
		const struct device_kind *k = &device_kinds[i];

		if (strncmp(device, k->prefix, strlen(k->prefix)) != 0)
			continue;
		p->type = (int)k->type;
		name = device + strlen(k->prefix);
	}
	if (name == NULL || *name == '\0')
		return fail(err, ST_INVALID,
		            "the device \"%.100s\" is not known; name one as memif:SOCKET, "
		            "af_xdp:INTERFACE, af_packet:INTERFACE, tap:NAME or pci:ADDRESS",
		            device);
	/* The EAL takes its arguments apart at commas. */
	if (strlen(name) >= sizeof(p->name) || strchr(name, ',') != NULL)
		return fail(err, ST_INVALID, "the device's name is too long or holds a comma");
	snprintf(p->name, sizeof(p->name), "%s", name);
	return ST_OK;
}

static void addr_next(struct ip_addr *a)
{
	for (int i = 15; i >= 0 && ++a->b[i] == 0; i--)
		;
}

/* "A" or "A-B", both ends among them. */
static enum status locals_read(struct load_port_plan *p, const char *text, char err[TRANSPORT_ERR])
{
	const char *dash = strchr(text, '-');
	char first[64];
	struct ip_addr at;
	struct ip_addr last;

	snprintf(first, sizeof(first), "%.*s", dash ? (int)min_size((size_t)(dash - text), 63) : 63,
	         text);
	if (!ip_addr_parse(first, &at) || !ip_addr_parse(dash ? dash + 1 : first, &last) ||
	    ip_addr_is_v4(&at) != ip_addr_is_v4(&last))
		return fail(err, ST_INVALID,
		            "\"%.80s\" is no local address; give one as 10.1.0.2, or a range as "
		            "10.1.0.2-10.1.0.9",
		            text);
	for (p->local_count = 0; p->local_count < NET_MAX_ADDRS; addr_next(&at)) {
		if (ip_addr_eq(&at, &p->server))
			return fail(err, ST_INVALID,
			            "the local addresses hold the server's own, %.80s", text);
		p->locals[p->local_count++] = at;
		if (ip_addr_eq(&at, &last))
			return ST_OK;
	}
	return fail(err, ST_INVALID,
	            "the local range %.80s holds more than %u addresses, or ends before it begins",
	            text, NET_MAX_ADDRS);
}

static enum status check_families(const struct load_port_plan *p, char err[TRANSPORT_ERR])
{
	bool v4 = ip_addr_is_v4(&p->server);

	if (ip_addr_is_v4(&p->locals[0]) != v4 || ip_addr_is_v4(&p->next_hop) != v4)
		return fail(err, ST_INVALID,
		            "the server, the local addresses and the next hop must all be IPv4 or "
		            "all be IPv6");
	return ST_OK;
}

enum status load_port_plan_make(struct load_port_plan *out, const struct transport_config *cfg,
                                char err[TRANSPORT_ERR])
{
	enum status st;

	*out = (struct load_port_plan){0};
	if (cfg->device == NULL || cfg->local == NULL)
		return fail(err, ST_INVALID,
		            "the dpdk transport needs a device (memif:/run/sluice/memif.sock) and "
		            "local addresses (10.1.0.2-10.1.0.9)");
	st = device_read(out, cfg->device, err);
	if (st != ST_OK)
		return st;
	if (cfg->host == NULL || !ip_addr_parse(cfg->host, &out->server))
		return fail(err, ST_INVALID,
		            "the dpdk transport has no resolver: name the server by its address, "
		            "not as \"%.80s\"",
		            cfg->host ? cfg->host : "");
	if (!ip_addr_parse(cfg->next_hop ? cfg->next_hop : cfg->host, &out->next_hop))
		return fail(err, ST_INVALID, "the next hop \"%.80s\" is no address", cfg->next_hop);
	st = locals_read(out, cfg->local, err);
	if (st == ST_OK)
		st = check_families(out, err);
	if (st != ST_OK)
		return st;
	if (cfg->links > (uint64_t)out->local_count * LOAD_ADDR_LINKS_MAX)
		return fail(err, ST_INVALID,
		            "%u connections to one server need %u local addresses, and there are "
		            "%u; widen the range",
		            cfg->links, (cfg->links - 1) / LOAD_ADDR_LINKS_MAX + 1,
		            out->local_count);
	return ST_OK;
}

/* The server makes its socket when it starts, and that may be a moment after us. */
static enum status memif_wait(const char *path, char err[TRANSPORT_ERR])
{
	uint64_t deadline_ns = clock_mono_ns() + LOAD_PORT_WAIT_MS * NS_PER_MS;
	struct stat sb;

	while (stat(path, &sb) != 0) {
		struct timespec pause = {.tv_nsec = LOOK_MS * (long)NS_PER_MS};

		if (clock_mono_ns() > deadline_ns)
			return fail(err, ST_NOTFOUND,
			            "no memif socket at %.120s within %u s; is a sluice-dataplane "
			            "running with a port of type memif, role server, there?",
			            path, LOAD_PORT_WAIT_MS / 1000);
		nanosleep(&pause, NULL);
	}
	if (!S_ISSOCK(sb.st_mode))
		return fail(err, ST_INVALID, "%.120s is no socket", path);
	return ST_OK;
}

/* The CPU that the thread runs on now, when it does not matter. */
static enum status cpu_choose(int want, unsigned *cpu, char err[TRANSPORT_ERR])
{
	cpu_set_t set;

	*cpu = (unsigned)(want >= 0 ? want : sched_getcpu());
	if (sched_getaffinity(0, sizeof(set), &set) != 0 || *cpu >= CPU_SETSIZE ||
	    !CPU_ISSET(*cpu, &set))
		return fail(err, ST_INVALID, "CPU %d is not there, or not for this process", want);
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
		return fail(err, st,
		            "not enough free huge pages: reserve some (sysctl "
		            "vm.nr_hugepages=64), or do without (--no-huge)");
	if (st != ST_OK)
		return fail(err, st, "%.90s cannot be opened%s: %.120s", tc->device,
		            device_hint(plan), why);
	port->nic = dpdk_nic(port->dpdk, 0);
	st = dpdk_thread_start(port->dpdk, 0);
	if (st == ST_OK)
		return ST_OK;
	dpdk_stop(port->dpdk);
	return fail(err, st, "the worker cannot be moved to CPU %u", cpu);
}

enum status load_port_open(struct load_port *out, const struct transport_config *cfg,
                           char err[TRANSPORT_ERR])
{
	static bool taken;
	enum status st = load_port_plan_make(&out->plan, cfg, err);

	if (st != ST_OK)
		return st;
	if (__atomic_exchange_n(&taken, true, __ATOMIC_RELAXED))
		return fail(err, ST_EXISTS,
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
