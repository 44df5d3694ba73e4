/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A request of a core as key programs see it (cache/key_program.h). Bodies are not at hand here. */
#ifndef CONTROL_REQUEST_INPUT_H
#define CONTROL_REQUEST_INPUT_H

#include "cache/key_program.h"
#include "control/request.h"

/* Its spans point into the request and into itself: it is not copied. */
struct request_input {
	struct http_fields fields;
	struct route_match match;
	struct key_input in;
};

/* target: r's, or another one of its host. seed: the dataplane's hash seed. in.route is not set
 * yet. */
void request_input_make(const struct request *r, struct span target, uint64_t seed,
                        struct request_input *out);
/* The rule of the route that the method has for the target, which in.route is then; NULL:
 * there is none. */
const struct snap_rule *request_input_route(const struct snapshot *s, const struct request *r,
                                            enum http_method method, struct request_input *out);

#endif
