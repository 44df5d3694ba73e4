/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/tcp/tcp_secret.h"

#include "lib/hash.h"

void secret_expand(const struct secret *seed, enum secret_use use, uint64_t *out, uint32_t n)
{
	uint64_t in[4] = {use, 0, seed->word[2], seed->word[3]};

	for (uint32_t i = 0; i < n; i++) {
		in[1] = i;
		out[i] = siphash24(in, sizeof(in), seed->word);
	}
}

struct secret secret_next(const struct secret *seed, const struct secret *fresh)
{
	struct secret next;
	uint64_t in[7];

	memcpy(in + 1, &seed->word[2], 2 * sizeof(uint64_t));
	memcpy(in + 3, fresh->word, sizeof(fresh->word));
	for (uint32_t i = 0; i < 4; i++) {
		in[0] = i;
		next.word[i] = siphash24(in, sizeof(in), seed->word);
	}
	return next;
}
