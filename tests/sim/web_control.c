/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Control and the origin behind it: takes requests, answers each after a while, in pieces, as
 * credit allows; fails, breaks off, keeps silent, dies and comes back as the scenario says. Checks
 * what it gets. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/web_level.h"

#define HELD_MAX 8u /* blocks of the down slab that one answer may have lent out */
#define UP_MAX   4096u

enum job_plan { PLAN_ANSWER, PLAN_FAIL, PLAN_BREAK, PLAN_SILENT, PLAN_EARLY };

struct job {
	bool active;
	bool head_sent;
	bool head; /* HEAD: no body */
	bool upload;
	bool up_end;
	enum job_plan plan;
	enum sim_kind kind;
	struct chan_ticket ticket;
	union {
		struct chan_request cr;
		char bytes[512]; /* with the key, which the answer repeats */
	};
	uint32_t id;
	uint32_t number;
	uint32_t version;
	uint32_t var;
	bool from_store;
	uint64_t born_seq;
	uint32_t held;
	uint32_t up_len;
	uint64_t up_sum;
	uint64_t due_ns;
	size_t sent;
};

/* An up block that is given back later. */
struct give_back {
	uint64_t due_ns;
	uint32_t block;
};

struct sim_control {
	struct rng rng;
	struct job jobs[SIM_SLOTS];
	uint32_t jobs_top;   /* slots in use lie below */
	uint32_t *lent_slot; /* for each down block: whose it is */
	uint64_t *lent_seq;
	struct give_back give[UP_MAX];
	uint32_t give_count;
	uint32_t epoch;
	uint64_t die_ns;
	uint64_t back_ns;
	uint64_t purge_ns;
	uint64_t purge_seq;
	uint32_t purging; /* id whose purge is not confirmed, SIM_IDS: none */
	bool calm;
};

static uint32_t some(struct rng *r, uint32_t mean)
{
	return mean / 4 + rng_below(r, 3 * mean / 2 + 1);
}

static uint64_t soon(struct sim *sim, uint32_t mean_us)
{
	return sim->rig.now_ns + some(&sim->control->rng, mean_us) * NS_PER_US;
}

static bool post(struct sim *sim, const struct chan_msg *m)
{
	struct chan_msg *slot = chan_slot(&sim->rig.control);

	if (slot == NULL)
		return false;
	*slot = *m;
	chan_push(&sim->rig.control);
	chan_flush(&sim->rig.control);
	return true;
}

static void give_later(struct sim *sim, uint32_t block)
{
	struct sim_control *c = sim->control;

	if (block == CHAN_NO_BLOCK)
		return;
	assert(c->give_count < UP_MAX);
	c->give[c->give_count++] = (struct give_back){soon(sim, 2000), block};
}

static void give_due(struct sim *sim)
{
	struct sim_control *c = sim->control;

	for (uint32_t i = 0; i < c->give_count;) {
		if (c->give[i].due_ns > sim->rig.now_ns) {
			i++;
			continue;
		}
		rig_release_up(&sim->rig, c->give[i].block);
		c->give[i] = c->give[--c->give_count];
	}
}

static uint32_t field_number(struct span fields)
{
	const char *at = memmem(fields.ptr, fields.len, "X-N: ", 5);

	return at == NULL ? UINT32_MAX : (uint32_t)strtoul(at + 5, NULL, 10);
}

static enum job_plan plan_make(struct sim *sim, const struct job *j)
{
	struct rng *r = &sim->control->rng;

	if (rng_chance(r, sim->sc->fail))
		return PLAN_FAIL;
	if (rng_chance(r, sim->sc->broken))
		return PLAN_BREAK;
	if (rng_chance(r, sim->sc->silent))
		return PLAN_SILENT;
	if (j->upload && rng_chance(r, sim->sc->early))
		return PLAN_EARLY;
	return PLAN_ANSWER;
}

/* "/c/12?..." */
static void target_read(struct job *j, const char *at, uint32_t len)
{
	char kind = at[1];

	j->kind = kind == 'h'   ? KIND_HOT
	          : kind == 'c' ? KIND_CACHED
	          : kind == 'u' ? KIND_UPLOAD
	                        : KIND_PLAIN;
	for (uint32_t i = 3; i < len && at[i] >= '0' && at[i] <= '9'; i++)
		j->id = j->id * 10 + (uint32_t)(at[i] - '0');
	j->id %= SIM_IDS;
}

/* Nobody waits: when it is done, the cores are told to forget what they have. */
static void refresh_input(struct sim *sim, const struct chan_msg *m, const struct chan_request *cr,
                          const char *target)
{
	struct job j = {0};

	target_read(&j, target, cr->target_len);
	if (!(cr->flags & CHAN_REQ_REFRESH) || cr->method != HTTP_GET || j.kind != KIND_CACHED ||
	    !sim->sc->cache)
		sim_fail(sim, "a request without a ticket that is no refresh");
	else
		cache_refresh_asked(sim, j.id);
	give_later(sim, m->block);
}

static void request_input(struct sim *sim, const struct chan_msg *m)
{
	struct job *j = &sim->control->jobs[m->ticket.slot];
	const char *bytes = chan_peer_bytes(&sim->rig.control, m);
	struct chan_request cr;
	const char *at;

	if (bytes == NULL || m->len < sizeof(cr) || m->ticket.slot >= SIM_SLOTS) {
		sim_fail(sim, "malformed REQUEST");
		return;
	}
	memcpy(&cr, bytes, sizeof(cr));
	at = bytes + sizeof(cr) + cr.key_len;
	if (m->ticket.seq == 0) {
		refresh_input(sim, m, &cr, at + cr.method_len + cr.host_len);
		return;
	}
	*j = (struct job){.active = true, .ticket = m->ticket, .born_seq = sim->control->purge_seq};
	memcpy(j->bytes, bytes, min_size(sizeof(cr) + cr.key_len, sizeof(j->bytes)));
	j->head = cr.method_len == 4 && memcmp(at, "HEAD", 4) == 0;
	j->upload = cr.method_len == 4 && memcmp(at, "POST", 4) == 0;
	at += cr.method_len + cr.host_len;
	target_read(j, at, cr.target_len);
	if (sim->sc->cache) {
		j->var = cache_variant_asked(span_of(at + cr.target_len, cr.fields_len));
		j->from_store =
		        !j->upload && cr.key_len > 0 && rng_below(&sim->control->rng, 2) == 0;
	}
	j->number = field_number(span_of(at + cr.target_len, cr.fields_len));
	if (j->number == UINT32_MAX && sim->liars != NULL)
		j->number = 0;
	if (j->number >= sim->next_number) {
		sim_fail(sim, "a request that no client made");
		return;
	}
	if (j->upload && (sim->outcomes[j->number] & OUT_SEEN))
		sim_fail(sim, "POST %u came twice", j->number);
	sim->outcomes[j->number] |= OUT_SEEN;
	j->up_end = m->flags & CHAN_F_END;
	j->plan = plan_make(sim, j);
	j->due_ns = soon(sim, 3000);
	sim->control->jobs_top = max_u32(sim->control->jobs_top, m->ticket.slot + 1u);
	give_later(sim, m->block);
}

static struct job *job_of(struct sim *sim, const struct chan_ticket *t)
{
	struct job *j = &sim->control->jobs[t->slot % SIM_SLOTS];

	return j->active && j->ticket.seq == t->seq ? j : NULL;
}

static void body_input(struct sim *sim, const struct chan_msg *m)
{
	struct job *j = job_of(sim, &m->ticket);

	if (j != NULL && m->len > 0) {
		const char *bytes = chan_peer_bytes(&sim->rig.control, m);
		static char want[65536];

		if (bytes == NULL || j->up_end) {
			sim_fail(sim, "BODY behind its end, or malformed");
			return;
		}
		sim_body(KIND_UPLOAD, j->number, 0, want, j->up_len, m->len);
		if (memcmp(bytes, want, m->len) != 0)
			sim_fail(sim, "POST %u: wrong body bytes at %u", j->number, j->up_len);
		j->up_sum = sim_sum(j->up_sum, bytes, m->len);
		j->up_len += m->len;
	}
	if (j != NULL && (m->flags & CHAN_F_END)) {
		j->up_end = true;
		j->due_ns = soon(sim, 3000);
	}
	give_later(sim, m->block);
}

static void release_input(struct sim *sim, const struct chan_msg *m)
{
	struct sim_control *c = sim->control;

	for (uint32_t i = 0; i < m->code && i < CHAN_RELEASE_MAX; i++) {
		uint32_t b = m->blocks[i];

		if (b >= sim->rig.down.count || sim->rig.down.free_count == sim->rig.down.count) {
			sim_fail(sim, "RELEASE of block %u, which is not lent", b);
			return;
		}
		struct job *j = &c->jobs[c->lent_slot[b] % SIM_SLOTS];
		if (j->active && j->ticket.seq == c->lent_seq[b] && j->held > 0)
			j->held--;
		if (sim->rig.down_extra[b] > 0)
			sim->rig.down_extra[b]--;
		else
			chan_block_put(&sim->rig.down, b);
	}
}

static void messages(struct sim *sim)
{
	struct sim_control *c = sim->control;
	struct chan_msg m;

	while (!sim->run->failed && chan_recv(&sim->rig.control, &m)) {
		struct job *j = job_of(sim, &m.ticket);

		chan_rx_done(&sim->rig.control);
		if (m.type == CHAN_REQUEST)
			request_input(sim, &m);
		else if (m.type == CHAN_BODY)
			body_input(sim, &m);
		else if (m.type == CHAN_RELEASE)
			release_input(sim, &m);
		else if (m.type == CHAN_CANCEL && j != NULL)
			j->active = false;
		else if (m.type == CHAN_RESULT && c->purging < SIM_IDS) {
			sim->confirmed[c->purging] = (uint32_t)m.ticket.seq;
			c->purging = SIM_IDS;
		}
	}
}

static uint32_t lend(struct sim *sim, struct job *j)
{
	uint32_t b = sim->rig.down.free_count > 1 ? chan_block_get(&sim->rig.down) : CHAN_NO_BLOCK;

	if (b == CHAN_NO_BLOCK)
		return b;
	sim->control->lent_slot[b] = j->ticket.slot;
	sim->control->lent_seq[b] = j->ticket.seq;
	j->held++;
	return b;
}

static size_t answer_len(const struct job *j)
{
	return j->upload ? 0 : sim_body_len(j->kind, j->id);
}

static uint32_t upload_text(const struct job *j, char *to, size_t cap)
{
	return (uint32_t)snprintf(to, cap, "%u %u %016llx", j->number, j->up_len,
	                          (unsigned long long)j->up_sum);
}

/* Every third object has no length that is known beforehand. */
static bool is_chunked(const struct job *j)
{
	return !j->head && !j->upload && !j->from_store && j->id % 3 == 0;
}

static bool head_send(struct sim *sim, struct job *j)
{
	uint32_t block = lend(sim, j);
	char text[64];
	struct object *o;

	if (block == CHAN_NO_BLOCK)
		return false;
	o = (struct object *)(void *)chan_block_at(&sim->rig.down, block);
	*o = (struct object){
	        .hash = {j->cr.key_lo, j->cr.key_hi},
	        .response_ms = sim->rig.wall_ns / NS_PER_MS,
	        .status = j->plan == PLAN_EARLY ? 403 : 200,
	        .born_seq = j->born_seq,
	        .key_len = j->cr.key_len,
	};
	o->expires_ms = o->response_ms + (j->id % 2 ? 60000 : 200);
	if (j->kind == KIND_CACHED && j->cr.key_len > 0)
		o->flags |= OBJECT_STORABLE;
	o->body_len = j->upload ? upload_text(j, text, sizeof(text)) : answer_len(j);
	if (is_chunked(j)) {
		o->flags |= OBJECT_CHUNKED;
		o->body_len = UINT64_MAX;
	}
	j->version = j->kind == KIND_CACHED ? sim->versions[j->id] : 0;
	bool room = true;
	memcpy(o + 1, j->bytes + sizeof(j->cr), o->key_len);
	if (sim->sc->cache && j->id % 2 == 0)
		o->stale_while_s = 2;
	if ((o->flags & OBJECT_STORABLE) && cache_varies(sim, j->kind, j->id))
		room = cache_variant_head(sim, j->id, j->var, o);
	char *fields = (char *)(o + 1) + o->key_len;
	o->fields_len = (uint32_t)sprintf(fields, "X-V: %u\r\nX-Id: %u-%u\r\nX-Var: %u\r\n",
	                                  j->version, j->kind, j->id, j->var);
	struct chan_msg m = {
	        .type = CHAN_HEAD,
	        .ticket = j->ticket,
	        .block = block,
	        .len = (uint32_t)object_head_bytes(o),
	        .flags = (uint8_t)((j->head ? CHAN_F_END : 0) |
	                           (o->flags & OBJECT_STORABLE ? CHAN_F_FILL : 0) |
	                           (j->from_store ? CHAN_F_STORE : 0)),
	};
	if (!room || !post(sim, &m)) {
		chan_block_put(&sim->rig.down, block);
		j->held--;
		return false;
	}
	j->head_sent = true;
	return true;
}

/* A piece of the body; true when it was the last. */
static bool piece_send(struct sim *sim, struct job *j)
{
	struct rng *r = &sim->control->rng;
	char text[64];
	size_t all = j->upload ? upload_text(j, text, sizeof(text)) : answer_len(j);
	size_t n = min_size(all - j->sent, 1 + rng_below(r, sim->rig.down.block_bytes));
	struct chan_msg m = {.type = CHAN_BODY, .ticket = j->ticket, .block = CHAN_NO_BLOCK};
	bool end = j->sent + n == all;
	bool breaks = j->plan == PLAN_BREAK && all > 0 && (end || rng_below(r, 3) == 0);

	if (j->held >= HELD_MAX)
		return false;
	if (breaks)
		n = 0;
	if (n > 0) {
		m.block = lend(sim, j);
		if (m.block == CHAN_NO_BLOCK)
			return false;
		m.len = (uint32_t)n;
		char *to = (char *)chan_block_at(&sim->rig.down, m.block);
		if (j->upload)
			memcpy(to, text + j->sent, n);
		else
			sim_body(j->kind, j->id, j->version, to, j->sent, n);
	}
	if (breaks) {
		m.flags = CHAN_F_END | CHAN_F_ABORT;
		sim->outcomes[j->number] |= OUT_BROKEN;
		end = true;
	} else if (end) {
		m.flags = CHAN_F_END;
	}
	if (!post(sim, &m)) {
		if (m.block != CHAN_NO_BLOCK) {
			chan_block_put(&sim->rig.down, m.block);
			j->held--;
		}
		return false;
	}
	j->sent += n;
	return end;
}

static void job_run(struct sim *sim, struct job *j)
{
	j->due_ns = soon(sim, 1000);
	if (j->upload && !j->up_end && j->plan != PLAN_EARLY && j->plan != PLAN_FAIL) {
		j->due_ns = UINT64_MAX; /* the body's end wakes it */
		return;
	}
	if (j->plan == PLAN_SILENT) {
		sim->outcomes[j->number] |= OUT_SILENT;
		j->due_ns = UINT64_MAX;
		return;
	}
	if (j->plan == PLAN_FAIL) {
		sim->outcomes[j->number] |= OUT_FAILED | (j->up_end ? 0 : OUT_EARLY);
		if (rig_fail(&sim->rig, j->ticket, 502))
			j->active = false;
		return;
	}
	if (j->plan == PLAN_EARLY)
		sim->outcomes[j->number] |= OUT_EARLY;
	if (!j->head_sent) {
		if (head_send(sim, j) && j->head)
			j->active = false;
		return;
	}
	for (int i = 0; i < 3; i++) {
		if (piece_send(sim, j)) {
			j->active = false;
			return;
		}
	}
}

static uint64_t jobs_run(struct sim *sim)
{
	struct sim_control *c = sim->control;
	uint64_t next = UINT64_MAX;

	for (uint32_t i = 0; i < c->jobs_top; i++) {
		struct job *j = &c->jobs[i];

		if (j->active && j->due_ns <= sim->rig.now_ns)
			job_run(sim, j);
		if (j->active)
			next = min_u64(next, j->due_ns);
	}
	while (c->jobs_top > 0 && !c->jobs[c->jobs_top - 1].active)
		c->jobs_top--;
	return next;
}

static void die(struct sim *sim)
{
	struct sim_control *c = sim->control;

	sim->stats.deaths++;
	sim->rig.shared->attach_epoch = 0;
	sim->away_ns = sim->rig.now_ns;
	for (uint32_t i = 0; i < SIM_SLOTS; i++)
		c->jobs[i].active = false;
	c->jobs_top = 0;
	c->give_count = 0;
	memset(sim->cache.refresh_due, 0, sizeof(sim->cache.refresh_due));
	c->purging = SIM_IDS;
	c->back_ns = soon(sim, 400000);
	if (rng_below(&c->rng, 8) == 0)
		c->back_ns += 3 * NS_PER_S; /* longer than the grace */
	c->die_ns = UINT64_MAX;
}

static void come_back(struct sim *sim)
{
	struct sim_control *c = sim->control;

	sim->away_ns = sim->rig.now_ns;
	if (!rig_attach(&sim->rig, ++c->epoch))
		sim_fail(sim, "the core did not tell SYNC and HELD");
	c->back_ns = UINT64_MAX;
	c->die_ns = sim->sc->away_ns > 0 && !c->calm
	                    ? soon(sim, (uint32_t)(sim->sc->away_ns / NS_PER_US))
	                    : UINT64_MAX;
}

/* A new version of an object: the origin has it from now on, and the core is told to forget the
 * old. */
static void purge(struct sim *sim)
{
	struct sim_control *c = sim->control;
	char key[32];

	c->purge_ns = soon(sim, (uint32_t)(sim->sc->purge_ns / NS_PER_US));
	if (c->purging < SIM_IDS || sim->rig.down.free_count < 2)
		return;
	uint32_t id = rng_below(&c->rng, SIM_IDS);
	uint32_t block = chan_block_get(&sim->rig.down);
	struct chan_msg m = {
	        .type = CHAN_PURGE,
	        .code = INVAL_KEY,
	        .n = ++c->purge_seq,
	        .ticket = {.epoch = c->epoch, .seq = ++sim->versions[id]},
	        .block = block,
	        .len = (uint32_t)snprintf(key, sizeof(key), "sim/c/%u", id),
	};
	memcpy(chan_block_at(&sim->rig.down, block), key, m.len);
	c->lent_slot[block] = 0;
	c->lent_seq[block] = 0;
	c->purging = id;
	sim->cache.list_id[id] = 0; /* gone with the key */
	sim->stats.purges++;
	if (!post(sim, &m))
		sim_fail(sim, "no room for a PURGE");
}

uint64_t control_run(struct sim *sim)
{
	struct sim_control *c = sim->control;
	uint64_t now = sim->rig.now_ns;

	if (sim->faults.on[FAULT_control_dead] && !c->calm) {
		if (sim->rig.shared->attach_epoch != 0)
			die(sim);
		c->back_ns = now + NS_PER_MS;
	}
	if (sim->rig.shared->attach_epoch == 0) {
		sim->away_ns = now;
		if (now < c->back_ns)
			return c->back_ns;
		come_back(sim);
	}
	messages(sim);
	give_due(sim);
	cache_run(sim, &c->purge_seq);
	if (sim->sc->purge_ns > 0 && !c->calm && now >= c->purge_ns)
		purge(sim);
	if (now >= c->die_ns) {
		die(sim);
		return c->back_ns;
	}
	return jobs_run(sim);
}

void control_calm(struct sim *sim)
{
	sim->control->calm = true;
	sim->control->die_ns = UINT64_MAX;
	sim->control->back_ns = min_u64(sim->control->back_ns, sim->rig.now_ns);
}

bool control_create(struct sim *sim)
{
	struct sim_control *c = calloc(1, sizeof(*c));

	sim->control = c;
	if (c == NULL)
		return false;
	c->rng.s = mix64(sim->seed + 2);
	c->lent_slot = calloc(sim->rig.down.count, sizeof(c->lent_slot[0]));
	c->lent_seq = calloc(sim->rig.down.count, sizeof(c->lent_seq[0]));
	c->purging = SIM_IDS;
	if (c->lent_slot == NULL || c->lent_seq == NULL)
		return false;
	come_back(sim);
	return true;
}

void control_destroy(struct sim *sim)
{
	if (sim->control == NULL)
		return;
	free(sim->control->lent_slot);
	free(sim->control->lent_seq);
	free(sim->control);
}
