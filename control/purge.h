/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who asks for purges, and in which words: the operator (control/admin), clients by the method
 * PURGE, and the answers to unsafe requests. Makes orders for chan_server_purge of them. Loop's
 * thread only. */
#ifndef CONTROL_PURGE_H
#define CONTROL_PURGE_H

#include "control/chan_server.h"

/* The ways to name what goes; a tag stands under its prefix (cache/inval.h). */
enum purge_by {
	PURGE_BY_KEY,
	PURGE_BY_PATTERN,
	PURGE_BY_TAG,
	PURGE_BY_GROUP,
	PURGE_BY_USER,
	PURGE_BY_TENANT,
	PURGE_BY_POLICY,
	PURGE_BY_RULE,
	PURGE_BY_ALL,
	PURGE_BYS
};
/* "key", "pattern", ...; NULL past the last. */
const char *purge_by_name(enum purge_by by);

/* The order for name; its text lies in buf or in name. False: name is empty (but for ALL), or too
 * long. */
bool purge_order_make(enum purge_by by, struct span name, char buf[INVAL_TEXT_MAX],
                      struct purge_order *out);

#endif
