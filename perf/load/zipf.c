/* SPDX-License-Identifier: BSD-2-Clause */
#include "perf/load/zipf.h"

#include <math.h>

/* h(x) = x^-s, the hat over the probabilities; H is an integral of it, and H's inverse. Both are
 * written with expm1 and log1p, so that s near 1, where H turns from a power into a logarithm,
 * loses no digits. */
static double hat(double s, double x)
{
	return exp(-s * log(x));
}

static double integral(double s, double x)
{
	double log_x = log(x);
	double t = (1 - s) * log_x;

	return fabs(t) > 1e-8 ? expm1(t) / t * log_x : (1 + t / 2) * log_x;
}

static double integral_inverse(double s, double area)
{
	double t = area * (1 - s);

	/* Rounding must not take the argument of the logarithm below zero. */
	if (t < -1)
		t = -1;
	return exp(fabs(t) > 1e-8 ? log1p(t) / t * area : (1 - t / 2) * area);
}

void zipf_init(struct zipf *z, uint64_t n, double s)
{
	*z = (struct zipf){.n = n, .s = s};
	if (s <= 0)
		return;
	z->area_first = integral(s, 1.5) - 1;
	z->area_last = integral(s, (double)n + 0.5);
	z->sure = 2 - integral_inverse(s, integral(s, 2.5) - hat(s, 2));
}

uint64_t zipf_next(const struct zipf *z, struct load_rng *rng)
{
	if (z->s <= 0)
		return 1 + load_rng_below(rng, z->n);
	for (;;) {
		double area = z->area_last + load_rng_unit(rng) * (z->area_first - z->area_last);
		double x = integral_inverse(z->s, area);
		double k = floor(x + 0.5);

		if (k < 1)
			k = 1;
		else if (k > (double)z->n)
			k = (double)z->n;
		if (k - x <= z->sure || area >= integral(z->s, k + 0.5) - hat(z->s, k))
			return (uint64_t)k;
	}
}
