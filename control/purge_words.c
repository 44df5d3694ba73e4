/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/purge.h"

#include "cache/key.h"

static const struct {
	const char *name;
	enum inval_kind kind;
	const char *prefix; /* of the tag */
} bys[PURGE_BYS] = {
        [PURGE_BY_KEY] = {"key", INVAL_KEY, ""},
        [PURGE_BY_PATTERN] = {"pattern", INVAL_PATTERN, ""},
        [PURGE_BY_TAG] = {"tag", INVAL_TAG, "tag:"},
        [PURGE_BY_GROUP] = {"group", INVAL_TAG, "group:"},
        [PURGE_BY_USER] = {"user", INVAL_TAG, "user:"},
        [PURGE_BY_TENANT] = {"tenant", INVAL_TAG, "tenant:"},
        [PURGE_BY_POLICY] = {"policy", INVAL_TAG, "policy:"},
        [PURGE_BY_RULE] = {"rule", INVAL_TAG, "rule:"},
        [PURGE_BY_ALL] = {"all", INVAL_ALL, ""},
};

const char *purge_by_name(enum purge_by by)
{
	return by < PURGE_BYS ? bys[by].name : NULL;
}

bool purge_order_make(enum purge_by by, struct span name, char buf[INVAL_TEXT_MAX],
                      struct purge_order *out)
{
	size_t prefix = strlen(bys[by].prefix);

	*out = (struct purge_order){.kind = bys[by].kind};
	if (by == PURGE_BY_ALL)
		return true;
	if (name.len == 0 || name.len > INVAL_TEXT_MAX - prefix)
		return false;
	memcpy(buf, bys[by].prefix, prefix);
	memcpy(buf + prefix, name.ptr, name.len);
	out->text = span_of(buf, prefix + name.len);
	return true;
}
