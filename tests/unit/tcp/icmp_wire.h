/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ICMP errors made by hand for a wire (tcp_rig.h): they quote a segment that the stack sent, or one
 * that it did not. */
#ifndef TESTS_UNIT_TCP_ICMP_WIRE_H
#define TESTS_UNIT_TCP_ICMP_WIRE_H

#include "tests/unit/tcp/tcp_rig.h"

struct icmp_spec {
	uint8_t type;
	uint8_t code;
	uint32_t mtu;        /* of "too big" */
	uint32_t seq;        /* quoted */
	uint16_t quoted_len; /* of the quoted IP packet, 0: 1500 */
	uint16_t lport;      /* quoted, 0: those of the connection */
	uint16_t rport;
	bool bad_csum;
	bool foreign; /* the quoted source is not ours */
};

/* Injects it and lets the stack work. */
void wire_icmp(struct wire *w, const struct icmp_spec *spec);

/* "Fragmentation needed" or "packet too big", by the wire's version of IP. */
void wire_too_big(struct wire *w, uint32_t seq, uint32_t mtu);

#endif
