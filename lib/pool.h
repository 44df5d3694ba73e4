/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A fixed number of equal objects in memory that the caller gives, with a free list inside the free
 * objects. Single owner; no locks; get and put are a few instructions. Objects are not cleared. */
#ifndef LIB_POOL_H
#define LIB_POOL_H

#include "lib/base.h"

struct pool {
	void *free;     /* head of the free list */
	char *base;     /* first object */
	size_t size;    /* bytes an object, a multiple of 8 */
	uint32_t count; /* objects in all */
	uint32_t fresh; /* objects never handed out: [fresh, count) */
	uint32_t in_use;
	/* To divide by size without a division: an object's offset is a multiple of it, so what is
	 * left of size behind its factors of two has an inverse modulo 2^64. */
	uint64_t odd_inverse;
	uint32_t twos;
};

/* base must hold count * size bytes, aligned to 8 at least. Memory is touched when first used, so a
 * large pool costs nothing until then. */
static inline void pool_init(struct pool *p, void *base, size_t size, uint32_t count)
{
	uint32_t twos = (uint32_t)__builtin_ctzll(size);
	uint64_t odd = (uint64_t)size >> twos;
	uint64_t inverse = odd; /* of its lowest three bits; each step doubles how many (Newton) */

	assert(size >= sizeof(void *) && size % 8 == 0);
	for (int i = 0; i < 5; i++)
		inverse *= 2 - odd * inverse;
	*p = (struct pool){
	        .base = base, .size = size, .count = count, .odd_inverse = inverse, .twos = twos};
}

/* NULL when all are in use. */
static inline void *pool_get(struct pool *p)
{
	void *obj = p->free;

	if (likely(obj != NULL)) {
		memcpy(&p->free, obj, sizeof(void *));
	} else {
		if (unlikely(p->fresh == p->count))
			return NULL;
		obj = p->base + p->size * p->fresh++;
	}
	p->in_use++;
	return obj;
}

static inline void pool_put(struct pool *p, void *obj)
{
	memcpy(obj, &p->free, sizeof(void *));
	p->free = obj;
	p->in_use--;
}

static inline uint32_t pool_index(const struct pool *p, const void *obj)
{
	uint64_t offset = (uint64_t)((const char *)obj - p->base);

	return (uint32_t)((offset >> p->twos) * p->odd_inverse);
}

static inline void *pool_at(const struct pool *p, uint32_t index)
{
	return p->base + p->size * index;
}

static inline uint32_t pool_available(const struct pool *p)
{
	return p->count - p->in_use;
}

#endif
