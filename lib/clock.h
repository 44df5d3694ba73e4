/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The only place that reads clocks. Called by the loops of both processes and by benchmarks;
 * everything else takes now_ns as an argument. The TSC is read by the core's stop watch as well
 * (dataplane/stages.h), for reports alone. */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include "lib/base.h"

/* CLOCK_MONOTONIC, nanoseconds. */
uint64_t clock_mono_ns(void);
/* CLOCK_REALTIME, nanoseconds since 1970-01-01 UTC. */
uint64_t clock_wall_ns(void);
/* The TSC, and its ticks a second as calibrated once at the first call. */
uint64_t clock_cycles(void);
double clock_cycles_per_ns(void);

#define HTTP_DATE_LEN 29u
/* IMF-fixdate (RFC 9110 5.6.7) of a wall time in seconds; writes HTTP_DATE_LEN bytes, no NUL. */
void clock_http_date(uint64_t wall_s, char out[HTTP_DATE_LEN]);
/* All three forms of RFC 9110 5.6.7; false when text is none of them. Seconds since 1970. */
bool clock_parse_http_date(const char *text, size_t len, uint64_t *wall_s);

#endif
