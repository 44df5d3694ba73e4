/* SPDX-License-Identifier: BSD-2-Clause
 *
 * "http://host:port/path" taken apart (RFC 9110 4.2.1), for the load tool's command line. */
#ifndef PERF_LOAD_URL_H
#define PERF_LOAD_URL_H

#include "lib/base.h"
#include "lib/span.h"

struct url {
	struct span host;      /* without brackets */
	struct span authority; /* as in a Host field: without a port of 80 */
	uint16_t port;
	struct span target; /* path and query; "/" when there is none */
};

/* NULL when text is one, else what is wrong with it. Spans point into text. */
const char *url_parse(const char *text, struct url *out);

#endif
