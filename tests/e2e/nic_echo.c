/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The lowest layers alone, for trying a port: answers ARP, neighbor discovery and ping for an
 * address, and counts what else comes. Needs root.
 *
 *   nic_echo TYPE INTERFACE ADDRESS [CORES [on|off|auto]]
 *
 * TYPE: af_xdp, af_packet, tap, memif, pci; CORES: CPUs as in 0,1. Ends at SIGINT or SIGTERM and
 * prints its counters. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/dpdk/eal_dpdk.h"
#include "dataplane/net/net.h"

#define MAX_CORES 8u

struct echo_core {
	struct dpdk *dpdk;
	unsigned index;
	struct ip_addr addr;
	struct counters ctr;
	uint64_t polls;
	pthread_t thread;
};

static volatile sig_atomic_t stopping;

static void on_signal(int sig)
{
	(void)sig;
	stopping = 1;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void *core_main(void *arg)
{
	struct echo_core *core = arg;
	struct nic *nic = dpdk_nic(core->dpdk, core->index);
	struct net *net;

	if (dpdk_thread_start(core->dpdk, core->index) != ST_OK)
		return NULL;
	if (net_create(&net, nic, &core->ctr, &core->addr, 1) != ST_OK)
		return NULL;
	net_announce(net);
	net_flush(net);
	while (!stopping) {
		struct pkt pkts[NIC_BURST];
		unsigned n = nic_rx_burst(nic, pkts, NIC_BURST);
		unsigned tcp = net_input(net, pkts, n, n ? now() : 0);

		counter_add(&core->ctr, CTR_rx_tcp, tcp);
		nic_pkt_free(nic, pkts, tcp);
		net_flush(net);
		core->polls++;
	}
	net_destroy(net);
	dpdk_thread_end(core->dpdk);
	return NULL;
}

static void report(const struct echo_core *core)
{
	static const struct {
		const char *name;
		enum counter_id id;
	} rows[] = {
#define COUNTER(id, metric, labels, help) {#id, CTR_##id},
#define DROP(id, reason, help)            {#id, CTR_##id},
#define SHED(id, reason, help)            {#id, CTR_##id},
#include "lib/counters.def"
	};

	printf("core %u: polls %llu", core->index, (unsigned long long)core->polls);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (core->ctr.v[rows[i].id] != 0)
			printf(" %s %llu", rows[i].name,
			       (unsigned long long)core->ctr.v[rows[i].id]);
	}
	printf("\n");
}

static int parse(int argc, char **argv, struct config *cfg, struct config_port *port)
{
	static const char *const types[] = {"af_xdp", "memif", "af_packet", "tap", "pci"};
	static unsigned cpus[MAX_CORES];
	const char *huge = argc > 5 ? argv[5] : "off";
	char *list = argc > 4 ? argv[4] : NULL;

	if (argc < 4)
		return -1;
	for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
		if (strcmp(argv[1], types[i]) == 0)
			port->type = (enum config_port_type)i;
	}
	port->interface = argv[2];
	port->device = argv[2];
	port->cores = cpus;
	port->cores_count = 1;
	if (list != NULL) {
		char *save = NULL;

		port->cores_count = 0;
		for (char *p = strtok_r(list, ",", &save);
		     p != NULL && port->cores_count < MAX_CORES; p = strtok_r(NULL, ",", &save))
			cpus[port->cores_count++] = (unsigned)atoi(p);
	}
	cfg->memory.huge_pages = HUGE_OFF;
	if (strcmp(huge, "off") != 0)
		cfg->memory.huge_pages = strcmp(huge, "on") == 0 ? HUGE_ON : HUGE_AUTO;
	return 0;
}

int main(int argc, char **argv)
{
	static struct echo_core cores[MAX_CORES];
	static char role[] = "server";
	struct config_port port = {.role = role, .rx_descriptors = 1024, .tx_descriptors = 1024};
	struct config_listener listener = {.port = 80};
	struct config cfg = {
	        .memory.packet_buffers = 16384,
	        .ports = &port,
	        .ports_count = 1,
	        .listeners = &listener,
	        .listeners_count = 1,
	};
	struct ip_addr addr;
	char err[CONFIG_ERROR_TEXT];
	struct dpdk *dpdk;

	if (parse(argc, argv, &cfg, &port) != 0 || !ip_addr_parse(argv[3], &addr)) {
		fprintf(stderr, "usage: nic_echo TYPE INTERFACE ADDRESS [CORES [on|off|auto]]\n");
		return 2;
	}
	listener.address = argv[3];
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (dpdk_start(&cfg, &dpdk, err, sizeof(err)) != ST_OK) {
		fprintf(stderr, "nic_echo: %s\n", err);
		return 1;
	}
	for (unsigned i = 0; i < dpdk_core_count(dpdk); i++) {
		cores[i].dpdk = dpdk;
		cores[i].index = i;
		cores[i].addr = addr;
		pthread_create(&cores[i].thread, NULL, core_main, &cores[i]);
	}
	printf("ready\n");
	fflush(stdout);
	for (unsigned i = 0; i < dpdk_core_count(dpdk); i++) {
		pthread_join(cores[i].thread, NULL);
		report(&cores[i]);
	}
	dpdk_stop(dpdk);
	return 0;
}
