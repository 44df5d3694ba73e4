/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Frames of the scripted client (memif_client.c): TCP over IPv4 with the options that Linux sends,
 * and ARP. It keeps no connection. */
#ifndef PERF_MEMIF_FRAME_H
#define PERF_MEMIF_FRAME_H

#include "dataplane/nic.h"
#include "lib/base.h"
#include "tests/sim/bytes.h"

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

#define FRAME_REQUEST     "GET /hit HTTP/1.1\r\nHost: api.test\r\n\r\n"
#define FRAME_REQUEST_LEN (sizeof(FRAME_REQUEST) - 1)

/* The server, as all frames go to it. */
struct frame_to {
	struct nic *nic;
	uint8_t server_mac[6];
	uint8_t server_ip[4];
	uint32_t request_sum; /* of FRAME_REQUEST */
	uint64_t now_ns;      /* for timestamps */
};

struct frame_spec {
	uint32_t src_ip; /* host order */
	uint16_t src_port;
	uint8_t flags;
	uint32_t seq;
	uint32_t ack;
	uint32_t peer_ts;
	bool with_request;
};

/* False when the port has no buffer. */
bool frame_build(const struct frame_to *to, const struct frame_spec *b, struct pkt *pkt);
/* Asks for server_mac until there is an answer; false after ten seconds. */
bool frame_resolve(struct frame_to *to);

#endif
