/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Operations on a hot table against its model. */
#include "tests/unit/cache/hot_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct hot_model_stats stats;

	hot_model_run(data, len, &stats);
	return 0;
}
