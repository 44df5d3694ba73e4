/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/admin/warm_json.h"

#include "control/admin/admin_cmd.h"

/* What came of requests, in groups as control/warm.def has them: only what happened. */
static json_t *results_json(const uint64_t results[WARM_RESULTS])
{
	json_t *out = json_object();

	for (uint32_t i = 0; i < WARM_RESULTS; i++)
		if (results[i] > 0)
			json_object_set_new(out, warm_result_name((enum warm_result)i),
			                    json_integer((json_int_t)results[i]));
	return out;
}

enum group { KEPT, KNOWN, NOT, LOST };

static uint64_t group_sum(const uint64_t results[WARM_RESULTS], enum group group)
{
	static const enum group groups[WARM_RESULTS] = {
#define WARM_RESULT(id, of, help) [WARM_##id] = of,
#include "control/warm.def"
#undef WARM_RESULT
	};
	uint64_t sum = 0;

	for (uint32_t i = 0; i < WARM_RESULTS; i++)
		if (groups[i] == group)
			sum += results[i];
	return sum;
}

json_t *warm_job_json(const struct warm_job_report *r)
{
	json_t *limits =
	        json_pack("{s:i, s:i, s:I, s:I}", "rate_per_s", (int)r->limits.rate_per_s,
	                  "concurrency", (int)r->limits.concurrency, "bytes",
	                  (json_int_t)r->limits.bytes, "time_ms", (json_int_t)r->limits.time_ms);
	json_t *fetched =
	        json_integer((json_int_t)(r->results[WARM_origin] + r->results[WARM_confirmed] +
	                                  group_sum(r->results, NOT)));

	return json_pack(
	        "{s:i, s:s, s:o, s:b, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I, s:I, s:I, "
	        "s:o, s:o, s:o}",
	        "job", (int)r->id, "source", warm_source_name(r->source), "name",
	        admin_json_bytes(span_cstr(r->name)), "ended", r->ended, "asked",
	        (json_int_t)r->asked, "waiting", (json_int_t)r->waiting, "active",
	        (json_int_t)r->active, "fresh", (json_int_t)group_sum(r->results, KNOWN), "fetched",
	        fetched, "stored", (json_int_t)group_sum(r->results, KEPT), "not_storable",
	        (json_int_t)group_sum(r->results, NOT), "failed",
	        (json_int_t)group_sum(r->results, LOST), "bytes", (json_int_t)r->bytes, "ms",
	        (json_int_t)r->ms, "results", results_json(r->results), "limits", limits, "trouble",
	        r->trouble[0] != '\0' ? admin_json_bytes(span_cstr(r->trouble)) : json_null());
}

static json_t *sources_json(const struct metrics_tiers *t)
{
	json_t *out = json_array();

	for (uint32_t i = WARM_LIST; i < WARM_SOURCES; i++) {
		uint64_t used = t->fetch.warm_used[i];
		uint64_t unused = t->store.marks_lost[i];
		json_t *precision = used + unused == 0
		                            ? json_null()
		                            : json_real((double)used / (double)(used + unused));

		json_array_append_new(
		        out, json_pack("{s:s, s:I, s:I, s:I, s:I, s:o, s:o}", "source",
		                       warm_source_name((enum warm_source)i), "stored",
		                       (json_int_t)group_sum(t->warm.results[i], KEPT), "used",
		                       (json_int_t)used, "unused", (json_int_t)unused, "waiting",
		                       (json_int_t)t->store.marked[i], "precision", precision,
		                       "results", results_json(t->warm.results[i])));
	}
	return out;
}

json_t *warm_json(const struct warm *w, const struct metrics_tiers *t)
{
	struct warm_job_report report;
	json_t *jobs = json_array();

	for (uint32_t i = 0; w != NULL && warm_job_at(w, i, &report); i++)
		json_array_append_new(jobs, warm_job_json(&report));
	return json_pack("{s:o, s:o, s:{s:I, s:I, s:I, s:I, s:I, s:I}}", "sources", sources_json(t),
	                 "jobs", jobs, "list", "notes", (json_int_t)t->warm.notes, "notes_bytes",
	                 (json_int_t)t->warm.notes_bytes, "entries",
	                 (json_int_t)t->warm.list_entries, "saves", (json_int_t)t->warm.saves,
	                 "save_errors", (json_int_t)t->warm.save_errors, "served",
	                 (json_int_t)t->warm.list_served);
}
