/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Finds a few fields in a JSON text (RFC 8259), in one pass, without copying or allocating. For
 * cache keys that are made of request bodies: a text that two parsers could read differently is
 * refused, because the origin's parser may be the other one. So the text is checked whole and
 * strictly; and a name that is looked for may stand in its object only once, also in other case.
 * Bytes of strings are not checked to be UTF-8. */
#ifndef CACHE_JSON_FIELD_H
#define CACHE_JSON_FIELD_H

#include "lib/base.h"
#include "lib/span.h"

#define JSON_DEPTH_MAX 32u
#define JSON_FIELDS    8u

enum json_kind { JSON_ABSENT, JSON_STRING, JSON_NUMBER, JSON_WORD, JSON_OBJECT, JSON_ARRAY };

struct json_value {
	enum json_kind kind;
	struct span raw; /* as it stands; a string without its quotes */
};

/* paths: names divided by '.', as "a.b"; at most JSON_FIELDS. A path does not lead into arrays.
 * False: not sound, nested too deeply, or ambiguous; out is not valid then. */
bool json_find(struct span text, const struct span *paths, uint32_t count, struct json_value *out);

/* The bytes that a string stands for, in buf. False: NUL, half a surrogate pair, or longer than
 * cap. raw is one of json_find. */
bool json_unescape(struct span raw, char *buf, size_t cap, size_t *len);

/* The text of a value without white space outside of strings, in buf; false: longer than cap. */
bool json_compact(struct span raw, char *buf, size_t cap, size_t *len);

#endif
