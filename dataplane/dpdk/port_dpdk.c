/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One port: what the kernel's interface must offer, packet buffers, queues, offloads, start and
 * stop. */
#include <stdio.h>
#include <unistd.h>

#include "dataplane/dpdk/dpdk_int.h"
#include "dataplane/dpdk/rte.h"
#include "dataplane/dpdk/xdp_filter.h"

enum {
	ETHER_BYTES = 14,
	LINK_BYTES = ETHER_BYTES + 4 + 4, /* VLAN tag, FCS */
	XDP_HEADROOM = 256,               /* the kernel's, in each AF_XDP buffer */
	XDP_MAX_MTU = 3400,               /* AF_XDP without segments: a buffer fits a page */
	MIN_MTU = 576,
	MAX_MTU = 9216,
	POOL_CACHE = 256,
	LARGE_CACHE = 32,
	OBJECT_OVERHEAD = 64 + 128, /* mempool header and struct rte_mbuf */
	LARGE_ROOM = RTE_PKTMBUF_HEADROOM + NIC_LARGE_BYTES,
};

static bool has_interface(enum config_port_type type)
{
	return type == PORT_AF_XDP || type == PORT_AF_PACKET;
}

/* A queue without a core would lose its connections to the kernel; a core without a queue is idle.
 * DPDK's driver takes a driver without combined channels (veth) for one with a single queue. */
static enum status check_xdp_queues(struct dpdk *d, const struct dpdk_port *port)
{
	const char *name = port->cfg->interface;
	const struct iface *iface = &port->iface;
	unsigned cores = port->cfg->cores_count;

	if (!iface->combined && cores > 1)
		return dpdk_fail(
		        d, ST_UNSUPPORTED,
		        "the driver of %s has no combined channels, so that AF_XDP can use one "
		        "queue of it, and the port has %u cores; give it one core",
		        name, cores);
	if (iface->rx_queues != cores)
		return dpdk_fail(
		        d, ST_INVALID,
		        "interface %s has %u receive queues in use, and the port has %u cores; "
		        "each queue needs one core: ethtool -L %s %s %u, or change the port's "
		        "cores",
		        name, iface->rx_queues, cores, name, iface->combined ? "combined" : "rx",
		        cores);
	return ST_OK;
}

static enum status check_interface(struct dpdk *d, struct dpdk_port *port)
{
	const char *name = port->cfg->interface;

	if (iface_read(name, &port->iface) != ST_OK)
		return dpdk_fail(
		        d, ST_NOTFOUND,
		        "interface %s does not exist in this network namespace; see: ip link",
		        name);
	if (!port->iface.up)
		return dpdk_fail(d, ST_INVALID, "interface %s is down; ip link set %s up", name,
		                 name);
	return port->cfg->type == PORT_AF_XDP ? check_xdp_queues(d, port) : ST_OK;
}

enum status port_check(struct dpdk *d, struct dpdk_port *port)
{
	const struct config_port *c = port->cfg;
	enum status st = ST_OK;
	uint32_t mtu;

	if (has_interface(c->type))
		st = check_interface(d, port);
	if (st != ST_OK)
		return st;
	mtu = c->mtu ? c->mtu : (port->iface.mtu ? port->iface.mtu : 1500);
	if (mtu < MIN_MTU || mtu > (c->type == PORT_AF_XDP ? XDP_MAX_MTU : MAX_MTU))
		return dpdk_fail(d, ST_INVALID, "the MTU %u is not between %d and %d", mtu, MIN_MTU,
		                 c->type == PORT_AF_XDP ? XDP_MAX_MTU : MAX_MTU);
	if (port->iface.mtu != 0 && mtu > port->iface.mtu)
		return dpdk_fail(d, ST_INVALID, "the MTU %u is larger than that of %s, %u", mtu,
		                 c->interface, port->iface.mtu);
	if (d->cfg->memory.packet_buffers < config_port_buffers(c))
		return dpdk_fail(d, ST_INVALID, "memory.packet_buffers is %u; this port needs %u",
		                 d->cfg->memory.packet_buffers, config_port_buffers(c));
	port->mtu = (uint16_t)mtu;
	if (c->type != PORT_AF_XDP)
		return ST_OK;
	port->xdp = true;
	return xdp_filter_claim(c->interface, port->iface.index, &port->lock_fd, d->err, d->errlen);
}

uint32_t port_data_room(const struct dpdk_port *port)
{
	uint32_t frame = (uint32_t)port->mtu + LINK_BYTES + (port->xdp ? XDP_HEADROOM : 0);

	return RTE_PKTMBUF_HEADROOM + max_u32(2048, (uint32_t)align_up(frame, 64));
}

/* Before the port can be asked whether it segments. */
static bool may_cut(const struct dpdk *d, const struct dpdk_port *port)
{
	enum config_offload want = d->cfg->tcp.segmentation_offload;

	return d->cfg->memory.large_buffers > 0 &&
	       (want == CONFIG_OFFLOAD_ON ||
	        (want == CONFIG_OFFLOAD_AUTO && port->cfg->type == PORT_PCI));
}

uint64_t port_core_bytes(const struct dpdk *d, const struct dpdk_port *port)
{
	uint64_t bytes = 4096ull * 1024;

	bytes += (uint64_t)d->cfg->memory.packet_buffers *
	         (OBJECT_OVERHEAD + 64 + (uint64_t)port_data_room(port));
	if (may_cut(d, port))
		bytes += (uint64_t)d->cfg->memory.large_buffers *
		         (OBJECT_OVERHEAD + 64 + (uint64_t)LARGE_ROOM);
	return bytes;
}

static enum status open_large(struct dpdk *d, struct nic *nic, unsigned core)
{
	uint32_t count = d->cfg->memory.large_buffers;
	char name[32];

	snprintf(name, sizeof(name), "large%u", core);
	nic->large = rte_pktmbuf_pool_create(name, count, count < 2 * LARGE_CACHE ? 0 : LARGE_CACHE,
	                                     0, LARGE_ROOM, SOCKET_ID_ANY);
	if (nic->large != NULL)
		return ST_OK;
	return dpdk_fail(d, ST_NOMEM,
	                 "no memory for %u large packet buffers: %s; set "
	                 "memory.large_buffers lower, or tcp.segmentation_offload to off",
	                 count, rte_strerror(rte_errno));
}

static enum status open_pools(struct dpdk *d, struct dpdk_port *port)
{
	enum status st = ST_OK;

	for (unsigned q = 0; st == ST_OK && q < port->cfg->cores_count; q++) {
		struct nic *nic = &d->nics[port->first_core + q];
		char name[32];

		snprintf(name, sizeof(name), "pkts%u", port->first_core + q);
		nic->port = port->id;
		nic->queue = (uint16_t)q;
		nic->pool =
		        rte_pktmbuf_pool_create(name, d->cfg->memory.packet_buffers, POOL_CACHE, 0,
		                                (uint16_t)port_data_room(port), SOCKET_ID_ANY);
		if (nic->pool == NULL)
			return dpdk_fail(d, ST_NOMEM, "no memory for %u packet buffers: %s",
			                 d->cfg->memory.packet_buffers, rte_strerror(rte_errno));
		/* net_af_xdp registers the pool's first piece of memory only. */
		if (port->xdp && nic->pool->nb_mem_chunks != 1)
			return dpdk_fail(d, ST_NOMEM,
			                 "packet buffers for AF_XDP do not lie in one piece; set "
			                 "memory.huge_pages to off, or packet_buffers lower");
		if (port->cuts)
			st = open_large(d, nic, port->first_core + q);
	}
	return st;
}

static void choose_rss(const struct dpdk_port *port, const struct rte_eth_dev_info *info,
                       struct rte_eth_conf *conf)
{
	if (port->cfg->cores_count == 1)
		return;
	conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	conf->rx_adv_conf.rss_conf.rss_hf =
	        info->flow_type_rss_offloads &
	        (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP);
	if (conf->rx_adv_conf.rss_conf.rss_hf == 0)
		conf->rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
}

/* The port cuts segments only if it does all that goes with it. */
static enum status choose_tso(struct dpdk *d, struct dpdk_port *port, uint64_t offered,
                              struct rte_eth_conf *conf, struct nic_caps *caps)
{
	const uint64_t all = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
	                     RTE_ETH_TX_OFFLOAD_TCP_TSO;
	bool tap = port->cfg->type == PORT_TAP;
	uint16_t device_mtu = 0;

	if (!may_cut(d, port) || (offered & all) != all)
		return ST_OK;
	/* net_tap counts the Ethernet header into what its segments may have, and refuses more. */
	if (tap && rte_eth_dev_get_mtu(port->id, &device_mtu) == 0 &&
	    port->mtu + ETHER_BYTES > device_mtu)
		return dpdk_fail(d, ST_INVALID,
		                 "tcp.segmentation_offload is on, and a tap port cuts segments for "
		                 "an MTU of %u at most; set the port's mtu to that",
		                 device_mtu - ETHER_BYTES);
	conf->txmode.offloads |= all;
	caps->tx_ip_csum = true;
	caps->tx_l4_csum = true;
	caps->tx_tso = true;
	caps->tx_tso_v6 = !tap; /* it cuts by rte_gso, which knows IPv4 alone */
	port->cuts = true;
	return ST_OK;
}

/* Offloads of software ports would only move our own loops elsewhere, so only hardware is asked. */
static void choose_offloads(const struct dpdk_port *port, const struct rte_eth_dev_info *info,
                            struct rte_eth_conf *conf, struct nic_caps *caps)
{
	const uint64_t rx = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;

	if (port->cfg->type != PORT_PCI)
		return;
	if ((info->rx_offload_capa & rx) == rx) {
		conf->rxmode.offloads |= rx;
		caps->rx_csum = true;
	}
	if (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_IPV4_CKSUM) {
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
		caps->tx_ip_csum = true;
	}
	if (info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) {
		conf->txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
		caps->tx_l4_csum = true;
	}
}

static enum status setup_queues(struct dpdk *d, struct dpdk_port *port)
{
	uint16_t rx_desc = (uint16_t)min_u32(port->cfg->rx_descriptors, UINT16_MAX);
	uint16_t tx_desc = (uint16_t)min_u32(port->cfg->tx_descriptors, UINT16_MAX);
	int socket = rte_eth_dev_socket_id(port->id);
	unsigned numa = socket < 0 ? (unsigned)SOCKET_ID_ANY : (unsigned)socket;

	if (rte_eth_dev_adjust_nb_rx_tx_desc(port->id, &rx_desc, &tx_desc) != 0)
		return dpdk_fail(d, ST_INVALID, "port %s cannot have %u and %u descriptors",
		                 port->device, rx_desc, tx_desc);
	for (unsigned q = 0; q < port->cfg->cores_count; q++) {
		struct nic *nic = &d->nics[port->first_core + q];
		int rc = rte_eth_tx_queue_setup(port->id, (uint16_t)q, tx_desc, numa, NULL);

		if (rc == 0)
			rc = rte_eth_rx_queue_setup(port->id, (uint16_t)q, rx_desc, numa, NULL,
			                            nic->pool);
		if (rc != 0 && port->xdp)
			return dpdk_fail(
			        d, ST_DENIED,
			        "queue %u of %s could not be opened with AF_XDP: %s; it needs "
			        "root or CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK, "
			        "a kernel from 5.11 on, and no other AF_XDP socket on the queue",
			        q, port->cfg->interface, rte_strerror(-rc));
		if (rc != 0)
			return dpdk_fail(d, ST_IO, "queue %u of port %s: %s", q, port->device,
			                 rte_strerror(-rc));
	}
	return ST_OK;
}

static enum status configure(struct dpdk *d, struct dpdk_port *port, struct nic_caps *caps)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	uint16_t queues = (uint16_t)port->cfg->cores_count;
	int rc = rte_eth_dev_info_get(port->id, &info);
	enum status st;

	if (rc == 0)
		rc = rte_eth_macaddr_get(port->id, &mac);
	if (rc != 0)
		return dpdk_fail(d, ST_IO, "port %s: %s", port->device, rte_strerror(-rc));
	if (queues > info.max_rx_queues || queues > info.max_tx_queues)
		return dpdk_fail(
		        d, ST_INVALID,
		        "port %s has %u receive and %u send queues, and its configuration names "
		        "%u cores; each core needs one of both",
		        port->device, info.max_rx_queues, info.max_tx_queues, queues);
	memcpy(caps->mac, mac.addr_bytes, 6);
	caps->mtu = port->mtu;
	caps->rx_partial_csum = port->iface.partial_csum || port->cfg->type == PORT_TAP;
	choose_rss(port, &info, &conf);
	choose_offloads(port, &info, &conf, caps);
	st = choose_tso(d, port, info.tx_offload_capa, &conf, caps);
	if (st != ST_OK)
		return st;
	if (port->cfg->type == PORT_PCI)
		conf.rxmode.mtu = port->mtu;
	rc = rte_eth_dev_configure(port->id, queues, queues, &conf);
	if (rc != 0)
		return dpdk_fail(d, ST_IO, "port %s cannot be configured: %s", port->device,
		                 rte_strerror(-rc));
	return ST_OK;
}

enum status port_open(struct dpdk *d, struct dpdk_port *port)
{
	struct nic_caps caps = {0};
	enum status st;
	int rc;

	if (rte_eth_dev_get_port_by_name(port->device, &port->id) != 0)
		return dpdk_fail(d, ST_NOTFOUND, "DPDK has not made the port %s", port->device);
	port->opened = true;
	st = configure(d, port, &caps);
	if (st == ST_OK)
		st = open_pools(d, port);
	if (st == ST_OK)
		st = setup_queues(d, port);
	if (st != ST_OK)
		return st;
	for (unsigned q = 0; q < port->cfg->cores_count; q++)
		d->nics[port->first_core + q].caps = caps;
	rc = rte_eth_dev_start(port->id);
	if (rc != 0)
		return dpdk_fail(d, ST_IO, "port %s does not start: %s", port->device,
		                 rte_strerror(-rc));
	if (!port->xdp)
		return ST_OK;
	st = xdp_filter_fill(port->iface.index, d->cfg);
	if (st != ST_OK)
		return dpdk_fail(d, st, "the listeners cannot be told to the XDP program of %s: %s",
		                 port->cfg->interface, status_text(st));
	return ST_OK;
}

void port_close(struct dpdk *d, struct dpdk_port *port)
{
	(void)d;
	if (port->opened) {
		rte_eth_dev_stop(port->id);
		rte_eth_dev_close(port->id);
	}
	if (port->lock_fd < 0)
		return;
	xdp_filter_detach(port->iface.index);
	close(port->lock_fd);
}
