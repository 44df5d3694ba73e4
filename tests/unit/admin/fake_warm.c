/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A warmer for the tests of the admin side: one job, number 7, that takes every line but those that
 * begin with "bad". */
#include "control/warm.h"

#include "tests/unit/admin/fake_control.h"

#include <stdlib.h>

#define JOB 7u

struct fake_warm fake_warm;

enum status warm_job_start(struct warm *w, const struct warm_job_new *how, uint32_t *id)
{
	(void)w;
	fake_warm.how = *how;
	fake_warm.started++;
	*id = JOB;
	return fake_warm.st;
}

enum status warm_job_add(struct warm *w, uint32_t id, struct span text, warm_bad_fn bad, void *arg,
                         size_t *taken)
{
	(void)w;
	*taken = 0;
	if (id != JOB)
		return ST_NOTFOUND;
	if (fake_warm.full > 0) {
		fake_warm.full--;
		return ST_OK;
	}
	for (uint32_t line = 1; text.len > 0; line++) {
		const char *end = memchr(text.ptr, '\n', text.len);
		size_t len = end != NULL ? (size_t)(end - text.ptr) + 1 : text.len;

		if (len > 3 && memcmp(text.ptr, "bad", 3) == 0)
			bad(arg, line, "it is bad; write better ones");
		fake_warm.lines++;
		*taken += len;
		text = span_of(text.ptr + len, text.len - len);
	}
	return ST_OK;
}

bool warm_job_find(const struct warm *w, uint32_t id, struct warm_job_report *out)
{
	(void)w;
	*out = (struct warm_job_report){
	        .id = JOB,
	        .source = WARM_LIST,
	        .name = "keys",
	        .limits = {100, 8, 1 << 28, 300000},
	        .asked = 1200,
	        .waiting = fake_warm.stopped ? 0 : 30,
	        .active = 2,
	        .bytes = 5 << 20,
	        .ms = 12345,
	        .results = {[WARM_origin] = 1000,
	                    [WARM_shared] = 50,
	                    [WARM_fresh] = 100,
	                    [WARM_forbidden] = 10,
	                    [WARM_failed] = 5,
	                    [WARM_bad] = 3},
	        .ended = true,
	};
	return id == JOB;
}

bool warm_job_at(const struct warm *w, uint32_t index, struct warm_job_report *out)
{
	return index == 0 && warm_job_find(w, JOB, out);
}

bool warm_job_stop(struct warm *w, uint32_t id)
{
	(void)w;
	fake_warm.stopped = id == JOB;
	return id == JOB;
}

void warm_counts(const struct warm *w, struct warm_counts *out)
{
	*out = (struct warm_counts){.notes = 4000, .notes_bytes = 1 << 20, .list_entries = 3000};
	if (w == NULL)
		return;
	out->results[WARM_LIST][WARM_origin] = 1000;
	out->results[WARM_LIST][WARM_shared] = 50;
	out->results[WARM_PEER][WARM_failed] = 2;
}

char *warm_list_copy(struct warm *w, size_t *len)
{
	static const char text[] = "# sluice hot list 1\nGET http://a.test/\n";

	(void)w;
	if (!fake_warm.shares)
		return NULL;
	*len = sizeof(text) - 1;
	return strdup(text);
}
