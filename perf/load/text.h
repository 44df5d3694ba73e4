/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Figures as people read them: three significant digits and a unit. For reports and the progress
 * line. Each returns a text of at most TEXT_ROOM bytes within the struct, which must outlive its
 * use. */
#ifndef PERF_LOAD_TEXT_H
#define PERF_LOAD_TEXT_H

#include "lib/base.h"
#include "perf/load/threshold.h"

#include <stdio.h>

#define TEXT_ROOM 40u

struct text {
	char s[TEXT_ROOM];
};

/* "850 ns", "1.23 ms", "12.3 s" */
struct text text_time(double ns);
/* "1.23 ms", "45s", "5m 12s", "2h 03m" */
struct text text_span(double ns);
/* "1,234,567" */
struct text text_count(uint64_t n);
/* "1,234.5/s": rates are compared, so all digits stay. */
struct text text_rate(double per_s);
/* "12.3 MiB" */
struct text text_bytes(double bytes);
/* "0.04 %"; a share that is not 0 never reads as 0, one that is not 1 never as 100. */
struct text text_share(double share);
/* By the figure's kind. */
struct text text_figure(enum load_figure figure, double value);
/* A name cut or filled with spaces to so many characters (of UTF-8, not bytes). */
void text_put_name(FILE *out, const char *name, uint32_t width);
/* How many of len bytes hold whole characters. */
size_t text_whole(const char *s, size_t len);

#endif
