/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Errors travel as in a log: any core appends, each core reads at its own pace and misses what was
 * overwritten before. A torn read shows by its stamp; and whatever is read, TCP still asks whether
 * it names a segment in flight. */
#include "dataplane/net/net_shared.h"

#include "dataplane/net/net_int.h"

bool net_error_pass(struct net *net, const struct net_error *e)
{
	struct net_shared *s = net->shared;
	struct net_shared_error *slot;
	uint64_t number;

	if (net->cores < 2 || e->passed)
		return false;
	number = __atomic_fetch_add(&s->error_count, 1, __ATOMIC_RELAXED);
	slot = &s->errors[number % NET_SHARED_ERRORS];
	__atomic_store_n(&slot->stamp, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	slot->from = net->core;
	slot->error = *e;
	slot->error.passed = true;
	__atomic_store_n(&slot->stamp, number + 1, __ATOMIC_RELEASE);
	return true;
}

static bool slot_read(const struct net_shared_error *slot, uint64_t number,
                      struct net_shared_error *out)
{
	if (__atomic_load_n(&slot->stamp, __ATOMIC_ACQUIRE) != number + 1)
		return false;
	*out = *slot;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&slot->stamp, __ATOMIC_RELAXED) == number + 1;
}

void shared_read(struct net *net)
{
	struct net_shared *s = net->shared;
	uint64_t count = __atomic_load_n(&s->error_count, __ATOMIC_ACQUIRE);
	uint64_t off;

	if (count - net->errors_read > NET_SHARED_ERRORS)
		net->errors_read = count - NET_SHARED_ERRORS;
	while (net->errors_read < count && net->error_count < NET_ERRORS) {
		struct net_shared_error e;
		uint64_t number = net->errors_read++;

		if (slot_read(&s->errors[number % NET_SHARED_ERRORS], number, &e) &&
		    e.from != net->core)
			net->errors[net->error_count++] = e.error;
	}
	off = __atomic_load_n(&s->tentative, __ATOMIC_RELAXED) |
	      __atomic_load_n(&s->conflicts, __ATOMIC_RELAXED);
	net->v6_off = 0;
	for (uint32_t i = 0; off != 0 && i < net->v6_count; i++)
		net->v6_off |= (off >> net->v6_bit[i] & 1) << i;
}

void shared_conflict(struct net *net, uint32_t i)
{
	struct net_shared *s = net->shared;

	__atomic_fetch_or(&s->conflicts, 1ull << net->v6_bit[i], __ATOMIC_RELAXED);
	__atomic_fetch_and(&s->tentative, ~(1ull << net->v6_bit[i]), __ATOMIC_RELAXED);
	net->v6_off |= 1ull << i;
}
