/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Addresses of the socket transport: a server's name resolved once, and ranges of source
 * addresses. */
#ifndef PERF_LOAD_ADDRESS_H
#define PERF_LOAD_ADDRESS_H

#include "lib/base.h"
#include "lib/status.h"
#include "perf/load/transport.h"

#include <sys/socket.h>

#define ADDRESS_RANGE_MAX 65536u

struct address {
	struct sockaddr_storage ss;
	socklen_t len;
};

/* Addresses that follow each other, the last 32 bits counting. */
struct address_range {
	struct address first;
	uint32_t count; /* 0: none */
};

/* host: a name or an address, IPv6 without brackets. Of several addresses, the first that a
 * connection can be made to: a name like localhost may stand for both families. */
enum status address_resolve(struct address *out, const char *host, uint16_t port,
                            char err[TRANSPORT_ERR]);
/* text: "ADDRESS" or "FIRST-LAST", of the family. */
enum status address_range_parse(struct address_range *out, const char *text, int family,
                                char err[TRANSPORT_ERR]);
/* i < r->count; port 0. */
void address_range_get(const struct address_range *r, uint32_t i, struct address *out);

#endif
