/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Has the core of a rig given everything back, and do its counters add up? */
#ifndef TESTS_SIM_RIG_CHECK_H
#define TESTS_SIM_RIG_CHECK_H

#include "tests/sim/rig.h"

/* What is held of one kind, by name, or NULL when nothing is held. For a core that is quiet, its
 * clients gone, its TIME-WAIT over. */
const char *rig_leak(const struct rig *rig);
/* Every packet that came ended in one place, and every miss in one way. NULL when so. */
const char *rig_counters_wrong(const struct rig *rig);

#endif
