/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Targeted fields (RFC 9213): Cache-Control for one kind of cache, as a Dictionary of RFC 9651.
 * What breaks the syntax anywhere makes the whole field void, so that the next in the list counts.
 */
#include "cache/policy_private.h"
#include "cache/sf.h"

#define DELTA_MAX   2147483648u
#define MEMBERS_MAX 128u /* a field with more is void */

/* A lifetime that is no number, or below zero, is none: stale, the safe side. */
static bool number_apply(struct cache_control *cc, struct span key, const struct sf_value *v)
{
	const struct {
		struct span name;
		uint32_t *field;
	} rows[] = {
	        {SPAN_LIT("max-age"), &cc->max_age_s},
	        {SPAN_LIT("s-maxage"), &cc->s_maxage_s},
	        {SPAN_LIT("stale-while-revalidate"), &cc->stale_while_revalidate_s},
	        {SPAN_LIT("stale-if-error"), &cc->stale_if_error_s},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!span_eq(key, rows[i].name))
			continue;
		*rows[i].field = 0;
		if (v->type == SF_INTEGER && v->number > 0)
			*rows[i].field = (uint32_t)min_u64((uint64_t)v->number, DELTA_MAX);
		return true;
	}
	return false;
}

/* no-store=?0 is no no-store. Any other value leaves the directive's meaning. */
static void flag_apply(struct cache_control *cc, struct span key, const struct sf_value *v)
{
	bool *flag = cache_control_flag(cc, key);
	bool on = v->type != SF_BOOL || v->number != 0;
	bool named = v->type == SF_STRING && v->string.len > 0;

	if (flag != NULL)
		*flag = on;
	if (span_eq(key, SPAN_LIT("no-cache"))) {
		cc->no_cache = on && !named;
		cc->no_cache_fields = on && named;
	} else if (span_eq(key, SPAN_LIT("private"))) {
		cc->private_ = on && !named;
		cc->private_fields = on && named;
	}
}

/* One line; *members counts. False when it is no dictionary. The last member of a name counts (RFC
 * 9651 3.2). */
static bool line_apply(struct span line, struct cache_control *cc, uint32_t *members)
{
	struct sf_value value;
	struct sf_reader r;
	enum sf_next next;
	struct span key;

	sf_begin(&r, line);
	while ((next = sf_dictionary_next(&r, &key, &value)) == SF_MEMBER) {
		if (++*members > MEMBERS_MAX)
			return false;
		if (!number_apply(cc, key, &value))
			flag_apply(cc, key, &value);
	}
	return next == SF_END;
}

bool cache_targeted_parse(const struct http_fields *fs, enum http_hdr id, struct cache_control *out)
{
	struct cache_control cc;
	uint32_t members = 0;

	if (!http_fields_have(fs, id))
		return false;
	cache_control_clear(&cc);
	for (uint32_t i = 0; i < fs->count; i++)
		if (fs->f[i].id == id && !line_apply(fs->f[i].value, &cc, &members))
			return false;
	if (members == 0)
		return false;
	cc.present = true;
	*out = cc;
	return true;
}
