/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Names of what an answer can depend on, in rules (reads) and in answers (Sluice-Read-Set): "path",
 * "path.id", "query", "query.page", "header.accept", "cookie.lang", "host", "method", "tenant",
 * "user", "policy". For the configuration and cache/read_set.h. Allocates nothing. */
#ifndef LIB_READ_NAME_H
#define LIB_READ_NAME_H

#include "lib/rule_format.h"
#include "lib/span.h"

struct read_name {
	enum rule_source source;
	struct span name; /* behind the dot; empty: the whole */
};

/* False: no such name. A body has none: who asks for an answer anew does not have it any more. */
bool read_name_parse(struct span text, struct read_name *out);

/* A list of names with ',' between them, sorted, each once; those of fields in lower case. */
struct read_names {
	char text[RULE_READS_MAX];
	size_t len;
	uint32_t count;
};

/* False: no such name, or no room (RULE_READS_MAX bytes, RULE_READS_COUNT names). */
bool read_names_add(struct read_names *list, struct span text);
/* Takes the first name off a list's text; false at its end. */
bool read_names_next(struct span *rest, struct span *name);

#endif
