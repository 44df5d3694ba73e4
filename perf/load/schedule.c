/* SPDX-License-Identifier: BSD-2-Clause
 *
 * With the level r(t) = from + slope t, N(t) = from t + slope t^2 / 2 starts are due by t. Start
 * number k is at the t for which N(t) = k; a Poisson process is the same with unit-mean exponential
 * steps of k (time rescaling: Brown et al., Neural Computation 14, 2002). */
#include "perf/load/schedule.h"

#include <math.h>

#define COUNT_EXACTLY 1000000u

double stage_level(const struct load_stage *s, uint64_t since_ns)
{
	if (s->duration_ns == 0 || since_ns >= s->duration_ns)
		return s->to;
	return s->from + (s->to - s->from) * ((double)since_ns / (double)s->duration_ns);
}

uint32_t stage_users(const struct load_stage *s, uint64_t since_ns)
{
	double level = stage_level(s, since_ns);

	if (level <= 0)
		return 0;
	return level >= (double)UINT32_MAX ? UINT32_MAX : (uint32_t)(level + 0.5);
}

uint32_t stage_users_of(uint32_t users, uint32_t worker, uint32_t workers)
{
	return users / workers + (users % workers > worker ? 1 : 0);
}

/* Seconds after the start at which N reaches k; negative when it never does. */
static double time_of(const struct schedule *s, double k)
{
	double root = s->from * s->from + 2 * s->slope * k;

	if (k <= 0)
		return s->from > 0 || s->slope > 0 ? 0 : -1;
	if (root < 0)
		return -1;
	double below = s->from + sqrt(root);
	return below > 0 ? 2 * k / below : -1;
}

/* Sets next_ns from at. */
static void place(struct schedule *s)
{
	double t = time_of(s, s->at);
	double left = (double)(s->end_ns - s->start_ns);

	if (t < 0 || t * (double)NS_PER_S >= left)
		s->next_ns = UINT64_MAX;
	else
		s->next_ns = s->start_ns + (uint64_t)(t * (double)NS_PER_S);
}

static double step_draw(struct schedule *s)
{
	if (!s->poisson)
		return s->step;
	return -log1p(-load_rng_unit(&s->rng)) * s->step;
}

void schedule_begin(struct schedule *s, const struct load_stage *stage, uint64_t start_ns,
                    const struct schedule_share *share)
{
	double seconds = (double)stage->duration_ns / (double)NS_PER_S;

	*s = (struct schedule){
	        .start_ns = start_ns,
	        .end_ns = start_ns + stage->duration_ns,
	        .from = stage->from,
	        .slope = seconds > 0 ? (stage->to - stage->from) / seconds : 0,
	        .step = share->workers,
	        .poisson = share->poisson,
	        .at = share->worker,
	};
	load_rng_seed(&s->rng, share->seed, share->worker);
	if (s->poisson)
		s->at = step_draw(s);
	place(s);
}

void schedule_take(struct schedule *s)
{
	s->at += step_draw(s);
	place(s);
}

/* N(t), at most up to where a falling level reaches 0. */
static double due_by(const struct schedule *s, uint64_t at_ns)
{
	double t = at_ns > s->start_ns
	                   ? (double)(min_u64(at_ns, s->end_ns) - s->start_ns) / (double)NS_PER_S
	                   : 0;

	return s->from * t + s->slope * t * t / 2;
}

uint64_t schedule_behind(const struct schedule *s, uint64_t now_ns)
{
	if (s->next_ns > now_ns)
		return 0;
	double n = (due_by(s, now_ns) - s->at) / s->step;

	return 1 + (n > 0 ? (uint64_t)n : 0);
}

void schedule_cut(struct schedule *s, uint64_t end_ns)
{
	s->end_ns = min_u64(s->end_ns, end_ns);
	if (s->next_ns >= s->end_ns)
		s->next_ns = UINT64_MAX;
}

uint64_t schedule_finish(struct schedule *s, uint64_t until_ns)
{
	uint64_t n = s->next_ns < until_ns ? schedule_behind(s, min_u64(until_ns, s->end_ns)) : 0;

	/* Where there are very many the estimate does: it is off by one, or by chance's root. */
	if (n < COUNT_EXACTLY)
		for (n = 0; s->next_ns < until_ns; n++)
			schedule_take(s);
	s->next_ns = UINT64_MAX;
	return n;
}
