/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keys of hash tables, sequence numbers and cookies come from getrandom(2). In this program they
 * follow from the run's seed: this definition is found before the C library's. */
#include <sys/random.h>

#include "tests/sim/rng.h"
#include "tests/sim/run.h"

static struct rng entropy;

void entropy_seed(uint64_t seed)
{
	entropy.s = mix64(seed ^ 0x73696d);
}

ssize_t getrandom(void *to, size_t len, unsigned flags)
{
	uint8_t *out = to;

	(void)flags;
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)rng_next(&entropy);
	return (ssize_t)len;
}
