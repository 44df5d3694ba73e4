/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Thresholds: their syntax, and whether they hold. */
#include "perf/load/threshold.h"

#include "lib/config_doc.h"
#include "perf/load/result.h"
#include "perf/load/scenario_private.h"

#include <stdio.h>

const struct figure_info figure_infos[FIGURE_COUNT] = {
        [FIGURE_MEAN] = {"mean", FIGURE_IS_TIME, "Mean latency"},
        [FIGURE_P50] = {"p50", FIGURE_IS_TIME, "Half of all answers came within it"},
        [FIGURE_P90] = {"p90", FIGURE_IS_TIME, "90 % of all answers came within it"},
        [FIGURE_P95] = {"p95", FIGURE_IS_TIME, "95 %"},
        [FIGURE_P99] = {"p99", FIGURE_IS_TIME, "99 %"},
        [FIGURE_P999] = {"p99.9", FIGURE_IS_TIME, "99.9 %"},
        [FIGURE_MAX] = {"max", FIGURE_IS_TIME, "The slowest answer"},
        [FIGURE_ERRORS] = {"errors", FIGURE_IS_SHARE, "Errors of any kind, of all requests"},
        [FIGURE_TIMEOUTS] = {"timeouts", FIGURE_IS_SHARE,
                             "Requests without an answer in time, of all requests"},
        [FIGURE_HIT_RATE] = {"hit_rate", FIGURE_IS_SHARE,
                             "Answers from a cache, of those whose Cache-Status says"},
        [FIGURE_RATE] = {"rate", FIGURE_IS_RATE, "Answers a second"},
};

static bool figure_find(struct span name, enum load_figure *out)
{
	for (uint32_t i = 0; i < FIGURE_COUNT; i++) {
		if (!span_eq(name, span_cstr(figure_infos[i].name)))
			continue;
		*out = (enum load_figure)i;
		return true;
	}
	return false;
}

/* "0.5%" or "0.005". */
static bool share_read(struct span text, double *out)
{
	if (!scenario_number(&text, out))
		return false;
	text = span_trim(text);
	if (span_eq(text, SPAN_LIT("%"))) {
		*out /= 100;
		text.len = 0;
	}
	return text.len == 0 && *out <= 1;
}

const char *threshold_parse(struct span text, struct load_threshold *t)
{
	size_t at = 0;
	struct span value;
	uint64_t ns;

	while (at < text.len && text.ptr[at] != '<' && text.ptr[at] != '>')
		at++;
	if (at == text.len)
		return "has no '<' or '>'; write for example \"p95 < 150ms\"";
	if (!figure_find(span_trim(span_of(text.ptr, at)), &t->figure))
		return "names no figure; those are mean, p50, p90, p95, p99, p99.9, max, errors, "
		       "timeouts, hit_rate and rate";
	t->below = text.ptr[at] == '<';
	value = span_trim(span_of(text.ptr + at + 1, text.len - at - 1));
	switch (figure_infos[t->figure].kind) {
	case FIGURE_IS_TIME:
		if (!scenario_duration(value, &ns))
			return "has no duration behind it; write for example \"p95 < 150ms\"";
		t->value = (double)ns;
		return NULL;
	case FIGURE_IS_SHARE:
		if (!share_read(value, &t->value))
			return "has no share behind it; write for example \"errors < 0.5%\" or "
			       "\"hit_rate > 0.92\"";
		return NULL;
	case FIGURE_IS_RATE:
		if (!scenario_rate(value, &t->value))
			return "has no rate behind it; write for example \"rate > 900\"";
		return NULL;
	}
	return NULL;
}

bool scenario_threshold_add(struct scenario *s, const char *text, struct config_error *err)
{
	struct load_threshold t = {.endpoint = -1};
	const char *colon = strrchr(text, ':');
	const char *wrong;

	if (colon) {
		const struct span name = span_of(text, (size_t)(colon - text));

		for (uint32_t i = 0; i < s->endpoint_count; i++)
			if (span_eq(name, span_cstr(s->endpoints[i].name)))
				t.endpoint = (int)i;
		if (t.endpoint < 0)
			return scenario_refuse(err,
			                       "threshold '%.60s': no endpoint is called '%.*s'",
			                       text, (int)name.len, name.ptr);
	}
	wrong = threshold_parse(span_cstr(colon ? colon + 1 : text), &t);
	if (wrong)
		return scenario_refuse(err, "threshold '%.60s' %s", text, wrong);
	if (s->threshold_count == SCENARIO_THRESHOLDS)
		return scenario_refuse(err, "threshold '%.60s' is one too many; at most %u", text,
		                       SCENARIO_THRESHOLDS);
	if (strlen(text) >= sizeof(t.text))
		return scenario_refuse(err, "threshold '%.60s' is too long", text);
	(void)snprintf(t.text, sizeof(t.text), "%s", text);
	s->thresholds[s->threshold_count++] = t;
	return true;
}

struct verdict threshold_verdict(const struct result *r, const struct load_threshold *t)
{
	const struct load_part *part = t->endpoint < 0 ? &r->total : &r->endpoints[t->endpoint];
	struct verdict v = {.value = result_figure(part, t->figure)};

	switch (t->figure) {
	case FIGURE_HIT_RATE:
		v.measured = part->counts.cache_known > 0;
		break;
	case FIGURE_ERRORS:
	case FIGURE_TIMEOUTS:
		v.measured = part->counts.sent + part->counts.errors[LOAD_ERR_CONNECT] +
		                     part->counts.errors[LOAD_ERR_UNSENT] >
		             0;
		break;
	case FIGURE_RATE:
		v.measured = part->duration_ns > 0;
		break;
	default:
		v.measured = part->latency.count > 0;
		break;
	}
	v.holds = v.measured && (t->below ? v.value < t->value : v.value > t->value);
	return v;
}

bool result_passes(const struct result *r)
{
	for (uint32_t i = 0; i < r->scenario->threshold_count; i++)
		if (!threshold_verdict(r, &r->scenario->thresholds[i]).holds)
			return false;
	return true;
}
