/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The text of `sluice-bench --help`. */
#ifndef PERF_LOAD_USAGE_H
#define PERF_LOAD_USAGE_H

void usage_print(void);

#endif
