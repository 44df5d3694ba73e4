/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A nic.h in plain memory, for the simulator, unit tests, fuzzers and benchmarks: frames are
 * injected into its receive queue and taken from its transmit queue. Deterministic, no system call
 * after creation, buffers from a free list. Not thread-safe. */
#ifndef TESTS_SIM_NIC_SIM_H
#define TESTS_SIM_NIC_SIM_H

#include "dataplane/nic.h"

/* Called for each frame sent, as it is on the wire; data is valid during the call only. */
typedef void (*nic_sim_tx_fn)(void *arg, const void *data, uint32_t len);

/* Zero means the default in the comment. */
struct nic_sim_config {
	uint8_t mac[6];    /* 02:00:00:00:00:01 */
	uint16_t mtu;      /* 1500 */
	uint32_t buffers;  /* 1024 */
	uint32_t rx_queue; /* frames that wait to be received: 256 */
	uint32_t tx_queue; /* frames that wait to be taken: 256; unused with on_tx */
	bool tx_ip_csum;   /* the port fills in these checksums, as they leave */
	bool tx_l4_csum;
	uint32_t large_buffers; /* above 0: the port cuts segments, and does both sums */
	bool rx_csum;           /* the port verifies checksums, as they come in */
	bool rx_partial_csum;
	nic_sim_tx_fn on_tx; /* NULL: frames wait for nic_sim_take */
	/* NULL, or called for each frame that NIC_SIM_REFUSES keeps back; for the first of the two
	 * times that net_flush tries. */
	nic_sim_tx_fn on_refused;
	void *arg;
};

/* NULL when there is no memory. */
struct nic *nic_sim_create(const struct nic_sim_config *cfg);
/* Buffers still held by the caller die with it. */
void nic_sim_destroy(struct nic *nic);
/* Copies a frame into the receive queue; false when the queue is full, no buffer is free, or the
 * frame is longer than mtu + 18 bytes. */
bool nic_sim_inject(struct nic *nic, const void *bytes, uint32_t len);
/* The next frame sent, cut to cap bytes; 0 when there is none. */
uint32_t nic_sim_take(struct nic *nic, void *buf, uint32_t cap);
/* Faults, while they are on. No buffer is left; the port takes nothing to send; it takes nothing
 * in.
 */
enum nic_sim_fault {
	NIC_SIM_STARVED = 1 << 0,
	NIC_SIM_REFUSES = 1 << 1,
	NIC_SIM_DEAF = 1 << 2,
	NIC_SIM_NO_CUT = 1 << 3, /* it will not take segments to be cut */
};
void nic_sim_set_faults(struct nic *nic, uint32_t faults);
/* Large buffers that are not free. */
uint32_t nic_sim_large_used(const struct nic *nic);
/* Frames injected and not yet received. */
uint32_t nic_sim_pending(const struct nic *nic);

#endif
