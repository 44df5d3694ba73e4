/* SPDX-License-Identifier: BSD-2-Clause
 *
 * From a line to a request as a core would have sent it, and back: what of a client's request must
 * be kept to ask for its answer again. Never kept are fields that prove who asks; a key that
 * depends on them cannot be asked for again, and gets no line. Pure; used by the warmer (warm.h).
 */
#ifndef CONTROL_WARM_KEY_H
#define CONTROL_WARM_KEY_H

#include "cache/object.h"
#include "control/request.h"
#include "control/warm_line.h"
#include "lib/snapshot.h"

/* seed: the dataplane's hash seed. To be given to free(). NULL: *wrong says why, and what would be
 * right. */
struct request *warm_request(const struct snapshot *s, uint64_t seed, const struct warm_line *line,
                             const char **wrong);

/* The line that asks for what is stored under key as r did, in out. list: that of the key's
 * variants, or NULL. False: there is none. */
bool warm_line_of(const struct snapshot *s, uint64_t seed, const struct request *r, struct span key,
                  const struct object *list, char out[WARM_LINE_MAX], size_t *len);

#endif
