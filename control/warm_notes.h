/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is needed to ask again for what is stored: for each cache key the line of a request
 * (warm_line.h), and how much it was asked for. Bounded bytes: what was not asked for lately goes.
 * Used by the warmer (warm.h); one thread; no I/O, no clock. */
#ifndef CONTROL_WARM_NOTES_H
#define CONTROL_WARM_NOTES_H

#include "lib/span.h"
#include "lib/status.h"

struct warm_notes;

enum status warm_notes_create(uint64_t max_bytes, struct warm_notes **out);
void warm_notes_destroy(struct warm_notes *n);

/* The key was asked for so often more (0: is it there?). False: there is no note of it. */
bool warm_notes_use(struct warm_notes *n, struct span key, uint32_t uses);
/* A new note, used once; one that is there already keeps its line. Both texts are copied, at most
 * UINT16_MAX bytes each. Nothing happens when memory runs out. */
void warm_notes_put(struct warm_notes *n, struct span key, struct span line);

/* Uses count half from now on, so that what is no longer asked for cools down. After five of these
 * a single use is forgotten. */
void warm_notes_cool(struct warm_notes *n);

/* A copy of the lines that were used most, at most max, in no order: for another thread. rows NULL:
 * no memory. */
struct warm_pick {
	uint32_t count;
	struct warm_picked {
		uint32_t heat;
		uint32_t len;
		const char *line; /* in text */
	} * rows;
	char *text;
};
void warm_notes_pick(const struct warm_notes *n, uint32_t max, struct warm_pick *out);
void warm_pick_free(struct warm_pick *p);

struct warm_notes_counts {
	uint64_t entries;
	uint64_t bytes;
	uint64_t evicted;
};
void warm_notes_counts(const struct warm_notes *n, struct warm_notes_counts *out);

#endif
