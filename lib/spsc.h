/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Single-producer single-consumer ring of 64-byte messages in memory that two processes share
 * (Lamport's queue; the cached remote position is from MCRingBuffer and FastForward's line of
 * work). The shared part holds only positions and messages; each side keeps a private struct
 * spsc_end and reads the other's position only when its cached copy says full or empty.
 *
 * A position is a free-running 32-bit count. What the other process wrote is not trusted: a
 * position that claims more than the ring's size is treated as corrupt. */
#ifndef LIB_SPSC_H
#define LIB_SPSC_H

#include "lib/base.h"

#define SPSC_MSG_BYTES 64u

/* Lives in shared memory; the messages follow it. */
struct spsc_shared {
	uint32_t tail ALIGNED(CACHE_LINE); /* producer: messages published */
	uint32_t head ALIGNED(CACHE_LINE); /* consumer: messages taken */
	/* The consumer sets asleep before it waits on its doorbell; the producer rings only then.
	 */
	uint32_t asleep ALIGNED(CACHE_LINE);
} ALIGNED(CACHE_LINE);
static_assert(sizeof(struct spsc_shared) == 3 * CACHE_LINE, "shared ABI");

/* One side's private view. */
struct spsc_end {
	struct spsc_shared *shared;
	unsigned char *msgs;
	uint32_t mask;   /* entries - 1 */
	uint32_t pos;    /* own position, not yet published for the producer */
	uint32_t remote; /* cached position of the other side */
	bool corrupt;    /* the other side's position made no sense; the ring is dead */
};

static inline size_t spsc_bytes(uint32_t entries)
{
	return sizeof(struct spsc_shared) + (size_t)entries * SPSC_MSG_BYTES;
}

/* entries must be a power of two. Joining a ring that is in use goes on at its positions. */
void spsc_join_producer(struct spsc_end *e, void *mem, uint32_t entries);
void spsc_join_consumer(struct spsc_end *e, void *mem, uint32_t entries);

/* The slot for the next message, or NULL when the ring is full. Write it, then spsc_push. */
static inline void *spsc_slot(struct spsc_end *e)
{
	uint32_t used = e->pos - e->remote;

	if (unlikely(used > e->mask)) {
		e->remote = __atomic_load_n(&e->shared->head, __ATOMIC_ACQUIRE);
		used = e->pos - e->remote;
		if (unlikely(used > e->mask + 1))
			e->corrupt = true;
		if (used > e->mask)
			return NULL;
	}
	return e->msgs + (size_t)(e->pos & e->mask) * SPSC_MSG_BYTES;
}

/* Counts the slot as written; not visible to the consumer before spsc_publish. */
static inline void spsc_push(struct spsc_end *e)
{
	e->pos++;
}

static inline void spsc_publish(struct spsc_end *e)
{
	__atomic_store_n(&e->shared->tail, e->pos, __ATOMIC_RELEASE);
}

/* Free slots as far as the producer knows without touching the shared line, refreshed when low. */
static inline uint32_t spsc_room(struct spsc_end *e, uint32_t want)
{
	if (e->mask + 1 - (e->pos - e->remote) < want)
		e->remote = __atomic_load_n(&e->shared->head, __ATOMIC_ACQUIRE);
	uint32_t used = e->pos - e->remote;
	if (unlikely(used > e->mask + 1)) {
		e->corrupt = true;
		return 0;
	}
	return e->mask + 1 - used;
}

/* The oldest message, or NULL. The caller copies it before it looks at it, then calls spsc_pop. */
static inline const void *spsc_peek(struct spsc_end *e)
{
	if (e->pos == e->remote) {
		uint32_t tail = __atomic_load_n(&e->shared->tail, __ATOMIC_ACQUIRE);
		if (unlikely(tail - e->pos > e->mask + 1)) {
			e->corrupt = true;
			return NULL;
		}
		e->remote = tail;
		if (e->pos == e->remote)
			return NULL;
	}
	return e->msgs + (size_t)(e->pos & e->mask) * SPSC_MSG_BYTES;
}

static inline void spsc_pop(struct spsc_end *e)
{
	e->pos++;
}

/* Gives the popped slots back to the producer; once a burst. */
static inline void spsc_release(struct spsc_end *e)
{
	__atomic_store_n(&e->shared->head, e->pos, __ATOMIC_RELEASE);
}

#endif
