/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/fault.h"

#include <stdlib.h>

/* All that is free disappears; what comes back from now on may be had again. */
static void pool_hide(struct pool *p, struct hidden *h)
{
	if (h->on)
		return;
	*h = (struct hidden){
	        .free = p->free, .fresh = p->fresh, .taken = pool_available(p), .on = true};
	p->free = NULL;
	p->fresh = p->count;
	p->in_use += h->taken;
}

static void pool_show(struct pool *p, struct hidden *h)
{
	void *last = p->free;

	if (!h->on)
		return;
	h->on = false;
	p->fresh = h->fresh;
	p->in_use -= h->taken;
	h->taken = 0;
	if (last == NULL) {
		p->free = h->free;
		return;
	}
	for (void *next = last; next != NULL;) {
		last = next;
		memcpy(&next, last, sizeof(next));
	}
	memcpy(last, &h->free, sizeof(h->free));
}

static void blocks_hide(struct faults *f)
{
	struct rx_mem *m = &f->tcp->rx_mem;

	if (f->blocks != NULL)
		return;
	f->blocks = malloc((m->free_count + 1) * sizeof(m->free[0]));
	if (f->blocks == NULL)
		abort();
	memcpy(f->blocks, m->free, m->free_count * sizeof(m->free[0]));
	f->block_count = m->free_count;
	f->block_fresh = m->count - m->fresh;
	m->free_count = 0;
	m->fresh = m->count;
	m->level = MEM_OUT;
}

static void blocks_show(struct faults *f)
{
	struct rx_mem *m = &f->tcp->rx_mem;

	if (f->blocks == NULL)
		return;
	memcpy(m->free + m->free_count, f->blocks, f->block_count * sizeof(m->free[0]));
	m->free_count += f->block_count;
	m->fresh = m->count - f->block_fresh;
	m->level = MEM_AMPLE; /* until the next block comes or goes */
	free(f->blocks);
	f->blocks = NULL;
	f->block_count = 0;
	f->block_fresh = 0;
}

static void pool_set(struct pool *p, struct hidden *h, bool hide)
{
	if (hide)
		pool_hide(p, h);
	else
		pool_show(p, h);
}

/* Makes the world as the faults that are on want it. */
static void apply(struct faults *f)
{
	const uint32_t *on = f->on;

	cable_block(f->cable, CABLE_UP,
	            on[FAULT_partition] || on[FAULT_up_dead] || on[FAULT_link_down]);
	cable_block(f->cable, CABLE_DOWN,
	            on[FAULT_partition] || on[FAULT_down_dead] || on[FAULT_link_down]);
	cable_set_mtu(f->cable, on[FAULT_small_mtu] ? f->sc->fault_mtu : 0);
	nic_sim_set_faults(f->nic,
	                   (on[FAULT_no_packets] ? NIC_SIM_STARVED : 0u) |
	                           (on[FAULT_nic_refuses] ? NIC_SIM_REFUSES : 0u) |
	                           (on[FAULT_link_down] ? NIC_SIM_REFUSES | NIC_SIM_DEAF : 0u));
	pool_set(&f->tcp->conns, &f->conns, on[FAULT_no_conns]);
	if (on[FAULT_no_rx_bufs])
		blocks_hide(f);
	else
		blocks_show(f);
	pool_set(&f->tcp->chunks, &f->chunks, on[FAULT_no_tx_chunks]);
	pool_set(&f->tcp->refs, &f->refs, on[FAULT_no_tx_refs]);
}

/* When it begins again; uneven, lest it keep step with timers or with another fault. */
static uint64_t again(struct faults *f, const struct scenario_fault *what, uint64_t now_ns)
{
	if (what->every_ns == 0)
		return UINT64_MAX;
	return now_ns + what->every_ns / 2 + rng_below64(&f->rng, what->every_ns);
}

/* Returns by how much the clock jumps. */
static uint64_t begin(struct faults *f, uint32_t i, uint64_t now_ns)
{
	const struct scenario_fault *what = &f->sc->faults[i];

	if (what->kind == FAULT_clock_jump) {
		f->next_ns[i] = again(f, what, now_ns + what->for_ns);
		return what->for_ns;
	}
	f->active[i] = true;
	f->on[what->kind]++;
	f->next_ns[i] = now_ns + what->for_ns;
	return 0;
}

static void end(struct faults *f, uint32_t i, uint64_t now_ns)
{
	const struct scenario_fault *what = &f->sc->faults[i];

	f->active[i] = false;
	f->on[what->kind]--;
	f->next_ns[i] = again(f, what, now_ns);
}

uint64_t faults_run(struct faults *f, uint64_t now_ns)
{
	uint64_t stop_ns =
	        f->sc->faults_end_ns > 0 ? f->start_ns + f->sc->faults_end_ns : UINT64_MAX;
	uint64_t jump_ns = 0;

	if (f->mended_ns != 0 || now_ns < f->due_ns)
		return 0;
	if (now_ns >= stop_ns) {
		faults_stop(f, now_ns);
		return 0;
	}
	f->due_ns = stop_ns;
	for (uint32_t i = 0; i < f->sc->fault_count; i++) {
		if (f->next_ns[i] <= now_ns && f->active[i])
			end(f, i, now_ns);
		else if (f->next_ns[i] <= now_ns)
			jump_ns += begin(f, i, now_ns);
		f->due_ns = min_u64(f->due_ns, f->next_ns[i]);
	}
	apply(f);
	return jump_ns;
}

void faults_stop(struct faults *f, uint64_t now_ns)
{
	memset(f->on, 0, sizeof(f->on));
	apply(f);
	cable_mend(f->cable);
	f->due_ns = UINT64_MAX;
	if (f->mended_ns == 0)
		f->mended_ns = now_ns;
}

void faults_start(struct faults *f, uint64_t now_ns)
{
	f->start_ns = now_ns;
	f->due_ns = f->sc->fault_count > 0 || f->sc->faults_end_ns > 0 ? now_ns : UINT64_MAX;
	for (uint32_t i = 0; i < f->sc->fault_count; i++)
		f->next_ns[i] = now_ns + f->sc->faults[i].at_ns;
}
