/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keys whose popularity follows Zipf's law: k of 1 to n with a probability proportional to
 * 1 / k^s, by rejection-inversion (Hörmann and Derflinger, "Rejection-inversion to generate
 * variates from monotone discrete distributions", ACM TOMACS 6(3), 1996): exact, without a table,
 * in constant time for any n. s of 0: all alike. */
#ifndef PERF_LOAD_ZIPF_H
#define PERF_LOAD_ZIPF_H

#include "lib/base.h"
#include "perf/load/rng.h"

struct zipf {
	uint64_t n;
	double s;
	double area_first; /* the integral's value where the first bar begins, and the last ends */
	double area_last;
	double sure; /* so near below a whole number no rejection is possible */
};

/* n: 1 and more; s: 0 and more. */
void zipf_init(struct zipf *z, uint64_t n, double s);
uint64_t zipf_next(const struct zipf *z, struct load_rng *rng);

#endif
