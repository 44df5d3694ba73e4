/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/clock_watch.h"

#include "control/chan_server.h"

#include "lib/clock.h"
#include "lib/log.h"

#include <stdlib.h>

#define LOOK_NS (250 * NS_PER_MS)
/* A core takes the new time within a second; a soft purge that it carries out before ends answers
 * at the old time, which is in the future then. */
#define CORES_KNOW_NS (1500 * NS_PER_MS)

struct clock_watch {
	struct control *ctl;
	struct loop_timer timer;
	int64_t offset_ns; /* of the wall clock to the monotonic one */
	uint64_t again_ns; /* when the cores have the new time; 0: nothing to do */
	struct clock_counts counts;
};

/* False: this process was stopped between the readings. */
static bool offset_read(int64_t *out)
{
	uint64_t before_ns = clock_mono_ns();

	*out = (int64_t)(clock_wall_ns() - before_ns);
	return clock_mono_ns() - before_ns < CLOCK_STEP_MS * NS_PER_MS / 2;
}

static void all_stale(struct clock_watch *w)
{
	static const struct purge_order all = {.kind = INVAL_ALL, .soft = true, .foreign = true};

	chan_server_purge(w->ctl->chan, &all, NULL, NULL);
}

static void step(struct clock_watch *w, int64_t by_ns, uint64_t now_ns)
{
	if (by_ns > 0) {
		w->counts.forward++;
		log_warn("control",
		         "the wall clock was set forward by %.1f s: stored answers are as much "
		         "older",
		         (double)by_ns / NS_PER_S);
		return;
	}
	w->counts.back++;
	log_warn("control",
	         "the wall clock was set back by %.1f s: all that is stored is stale, and is asked "
	         "for anew",
	         (double)-by_ns / NS_PER_S);
	all_stale(w);
	w->again_ns = now_ns + CORES_KNOW_NS;
}

static void look(struct loop_timer *t)
{
	struct clock_watch *w = t->arg;
	uint64_t now_ns = loop_now_ns(w->ctl->loop);
	int64_t offset_ns;
	int64_t by_ns = 0;

	if (offset_read(&offset_ns)) {
		by_ns = offset_ns - w->offset_ns;
		w->offset_ns = offset_ns;
	}
	if (llabs(by_ns) >= (int64_t)(CLOCK_STEP_MS * NS_PER_MS)) {
		step(w, by_ns, now_ns);
	} else if (w->again_ns != 0 && now_ns >= w->again_ns) {
		w->again_ns = 0;
		all_stale(w);
	}
	loop_timer_set(w->ctl->loop, t, now_ns + LOOK_NS);
}

enum status clock_watch_start(struct control *ctl, struct clock_watch **out)
{
	struct clock_watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return ST_NOMEM;
	w->ctl = ctl;
	while (!offset_read(&w->offset_ns))
		;
	w->timer = (struct loop_timer){.fn = look, .arg = w};
	loop_timer_set(ctl->loop, &w->timer, loop_now_ns(ctl->loop) + LOOK_NS);
	*out = w;
	return ST_OK;
}

void clock_watch_stop(struct clock_watch *w)
{
	if (w == NULL)
		return;
	loop_timer_cancel(w->ctl->loop, &w->timer);
	free(w);
}

struct clock_counts clock_watch_counts(const struct clock_watch *w)
{
	return w->counts;
}
