/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/spsc.h"

static void join(struct spsc_end *e, void *mem, uint32_t entries)
{
	assert(is_pow2(entries) && (uintptr_t)mem % CACHE_LINE == 0);
	*e = (struct spsc_end){
	        .shared = mem,
	        .msgs = (unsigned char *)mem + sizeof(struct spsc_shared),
	        .mask = entries - 1,
	};
}

void spsc_join_producer(struct spsc_end *e, void *mem, uint32_t entries)
{
	join(e, mem, entries);
	e->pos = __atomic_load_n(&e->shared->tail, __ATOMIC_ACQUIRE);
	e->remote = __atomic_load_n(&e->shared->head, __ATOMIC_ACQUIRE);
	/* The producer's position leads; a head that makes no sense is the consumer's to mend.
	 * Until then the ring looks full. */
	e->corrupt = e->pos - e->remote > entries;
}

void spsc_join_consumer(struct spsc_end *e, void *mem, uint32_t entries)
{
	join(e, mem, entries);
	uint32_t head = __atomic_load_n(&e->shared->head, __ATOMIC_ACQUIRE);
	uint32_t tail = __atomic_load_n(&e->shared->tail, __ATOMIC_ACQUIRE);
	/* The one before left nonsense behind: nothing in the ring can be told from garbage. */
	if (tail - head > entries)
		head = tail;
	e->pos = head;
	e->remote = head; /* peek looks at the tail again */
	__atomic_store_n(&e->shared->head, head, __ATOMIC_RELEASE);
	__atomic_store_n(&e->shared->asleep, 0, __ATOMIC_RELAXED);
}
