/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a port does with a packet that it is to cut into segments (PKT_TX_TSO), for nic_sim.c alone:
 * headers copied to each piece, lengths, identification and sequence numbers set, FIN and PSH on
 * the last, both sums as PKT_TX_IP_CSUM and PKT_TX_L4_CSUM ask. */
#ifndef TESTS_SIM_NIC_CUT_H
#define TESTS_SIM_NIC_CUT_H

#include "dataplane/nic.h"

/* How many frames it becomes. Ends the program when some port would make something wrong of it. */
uint32_t nic_cut_count(const struct pkt *pkt);
/* Writes frame i of them to out, which has room for tso_mss and all headers; returns its length. */
uint32_t nic_cut(const struct pkt *pkt, uint32_t i, uint8_t *out);
/* Fills in the sums of a frame that is complete. */
void nic_sums(const struct pkt *pkt, uint8_t *frame, uint32_t len);

#endif
