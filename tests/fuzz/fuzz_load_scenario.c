/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Any bytes as a scenario file: refused with a position, or good for requests with a head that
 * ends. Files of keys are not read: the fuzzer would open whatever it dreams up. */
#include "perf/load/scenario.h"
#include "perf/load/template.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t room_of(const struct scenario *s)
{
	size_t room = 0;

	for (uint32_t i = 0; i < s->endpoint_count; i++)
		room += s->endpoints[i].body ? s->endpoints[i].body->room : 0;
	return room;
}

static void requests_make(const struct scenario *s)
{
	struct request_maker *m = request_maker_create(s, 0);

	for (uint32_t i = 0; m && i < 4; i++) {
		struct made_request r;

		request_make(m, i, &r);
		if (r.endpoint >= s->endpoint_count ||
		    !memmem(r.bytes.ptr, r.bytes.len, "\r\n\r\n", 4))
			abort();
	}
	request_maker_destroy(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scenario s;
	struct config_error err;

	if (memmem(data, size, "mac_key_file", 12))
		return 0;
	if (scenario_parse(&s, span_of(data, size), "f", &err) != ST_OK) {
		if (strncmp(err.text, "f:", 2) != 0 || s.bytes)
			abort();
		return 0;
	}
	if (room_of(&s) < 1u << 20)
		requests_make(&s);
	scenario_free(&s);
	return 0;
}
