/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Any bytes as a configuration file: refused with a position, or good enough to compile. */
#include "lib/config.h"
#include "lib/snapshot.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_error err;
	struct snapshot *snap;
	struct config *cfg;
	enum status st = config_parse((const char *)data, size, "f", &cfg, &err);

	if (st != ST_OK) {
		if (cfg || strncmp(err.text, "f:", 2) != 0)
			abort();
		return 0;
	}
	st = snapshot_build(cfg, &snap, &err);
	if (st == ST_OK && snapshot_check(snap, snap->total_bytes) != ST_OK)
		abort();
	free(snap);
	config_free(cfg);
	return 0;
}
