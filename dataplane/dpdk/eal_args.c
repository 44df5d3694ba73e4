/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The EAL's arguments, made from the configuration, so that nobody types them. */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <dirent.h>

#include "dataplane/dpdk/dpdk_int.h"
#include "dataplane/dpdk/xdp_filter.h"

#define MIB (1024ull * 1024)

static enum status add(struct eal_args *args, const char *fmt, ...) PRINTF(2, 3);

static enum status add(struct eal_args *args, const char *fmt, ...)
{
	char text[DPDK_ARG_LEN];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text) || args->argc == DPDK_MAX_ARGS)
		return ST_TOOBIG;
	args->owned[args->argc] = strdup(text);
	if (args->owned[args->argc] == NULL)
		return ST_NOMEM;
	args->argv[args->argc] = args->owned[args->argc];
	args->argc++;
	return ST_OK;
}

void eal_args_free(struct eal_args *args)
{
	for (int i = 0; i < args->argc; i++)
		free(args->owned[i]);
	args->argc = 0;
}

/* Free huge pages of every size, in bytes. */
static uint64_t huge_free_bytes(void)
{
	static const char root[] = "/sys/kernel/mm/hugepages";
	uint64_t bytes = 0;
	DIR *dir = opendir(root);
	struct dirent *e;

	if (dir == NULL)
		return 0;
	while ((e = readdir(dir)) != NULL) {
		unsigned long long pages = 0;
		unsigned long long kib;
		char path[512];
		FILE *f;

		if (sscanf(e->d_name, "hugepages-%llukB", &kib) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%s/free_hugepages", root, e->d_name);
		f = fopen(path, "re");
		if (f == NULL)
			continue;
		if (fscanf(f, "%llu", &pages) == 1)
			bytes += pages * kib * 1024;
		fclose(f);
	}
	closedir(dir);
	return bytes;
}

static enum status add_memory(struct dpdk *d, struct eal_args *args)
{
	uint64_t need = 64 * MIB; /* rings, port structures, the EAL itself */
	uint64_t have = huge_free_bytes();
	enum config_huge huge = d->cfg->memory.huge_pages;
	enum status st;

	for (unsigned i = 0; i < d->port_count; i++)
		need += port_core_bytes(d, &d->ports[i]) * d->ports[i].cfg->cores_count;
	if (huge == HUGE_ON && have < need)
		return dpdk_fail(
		        d, ST_NOMEM,
		        "memory.huge_pages is on, but packet buffers need %llu MiB and %llu "
		        "MiB of huge pages are free; reserve some (sysctl "
		        "vm.nr_hugepages=%llu), or set it to auto or off",
		        (unsigned long long)(need / MIB), (unsigned long long)(have / MIB),
		        (unsigned long long)(need / (2 * MIB) + 1));
	/* Nothing of it lies in files, and no second process joins it. */
	if (huge != HUGE_OFF && have >= need)
		return add(args, "--in-memory");
	st = add(args, "--no-shconf");
	if (st == ST_OK)
		st = add(args, "--no-huge");
	if (st == ST_OK)
		st = add(args, "-m");
	if (st == ST_OK)
		st = add(args, "%llu", (unsigned long long)((need + MIB - 1) / MIB));
	return st;
}

/* One logical core for the calling thread, on the CPUs where it may already run: the EAL shall
 * neither move the main thread nor start threads of its own on the CPUs of the machine. */
static enum status add_lcores(struct eal_args *args)
{
	char list[DPDK_ARG_LEN] = "";
	size_t at = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return ST_IO;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		int n;

		if (!CPU_ISSET(cpu, &set))
			continue;
		n = snprintf(list + at, sizeof(list) - at, "%s%d", at ? "," : "", cpu);
		if (n < 0 || (size_t)n >= sizeof(list) - at)
			return ST_TOOBIG;
		at += (size_t)n;
	}
	return add(args, "--lcores=0@(%.4000s)", list);
}

static uint32_t log2_ceil(uint32_t n)
{
	return (uint32_t)__builtin_ctzll(pow2_ceil(n));
}

static enum status add_af_xdp(struct dpdk *d, struct eal_args *args, struct dpdk_port *port)
{
	char path[4096];
	enum status st = xdp_filter_path(path, sizeof(path));

	if (st != ST_OK)
		return dpdk_fail(
		        d, st,
		        "the XDP program xdp_front.o is neither in the build tree next to the "
		        "executable nor in ../lib/sluice nor in /usr/lib/sluice");
	/* busy_budget=0: with the driver's default every empty poll is a system call. */
	return add(args,
	           "--vdev=%s,iface=%s,start_queue=0,queue_count=%u,busy_budget=0,xdp_prog=%s",
	           port->device, port->cfg->interface, port->cfg->cores_count, path);
}

static enum status add_port(struct dpdk *d, struct eal_args *args, struct dpdk_port *port)
{
	const struct config_port *c = port->cfg;
	unsigned index = (unsigned)(port - d->ports);

	switch (c->type) {
	case PORT_AF_XDP:
		snprintf(port->device, sizeof(port->device), "net_af_xdp%u", index);
		return add_af_xdp(d, args, port);
	case PORT_MEMIF:
		snprintf(port->device, sizeof(port->device), "net_memif%u", index);
		return add(args, "--vdev=%s,role=%s,socket=%s,socket-abstract=no,rsize=%u",
		           port->device, c->role, c->device, log2_ceil(c->rx_descriptors));
	case PORT_AF_PACKET:
		snprintf(port->device, sizeof(port->device), "net_af_packet%u", index);
		return add(args, "--vdev=%s,iface=%s,qpairs=%u", port->device, c->interface,
		           c->cores_count);
	case PORT_TAP:
		snprintf(port->device, sizeof(port->device), "net_tap%u", index);
		return add(args, "--vdev=%s,iface=%s", port->device, c->interface);
	case PORT_PCI:
		snprintf(port->device, sizeof(port->device), "%s", c->device);
		return add(args, "--allow=%s", c->device);
	}
	return ST_INVALID;
}

enum status eal_args_make(struct dpdk *d, struct eal_args *args)
{
	bool pci = false;
	enum status st = add(args, "sluice-dataplane");

	for (unsigned i = 0; i < d->port_count; i++)
		pci |= d->ports[i].cfg->type == PORT_PCI;
	if (st == ST_OK)
		st = add_lcores(args);
	if (st == ST_OK)
		st = add(args, "--file-prefix=sluice-%d", (int)getpid());
	if (st == ST_OK)
		st = add(args, "--no-telemetry");
	if (st == ST_OK)
		st = add(args, "--log-level=*:error");
	/* Without a device that reads memory by itself, virtual addresses do, and need no
	 * privilege. */
	if (st == ST_OK && !pci)
		st = add(args, "--no-pci");
	if (st == ST_OK && !pci)
		st = add(args, "--iova-mode=va");
	if (st == ST_OK)
		st = add_memory(d, args);
	for (unsigned i = 0; st == ST_OK && i < d->port_count; i++)
		st = add_port(d, args, &d->ports[i]);
	return st;
}
