/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a request costs the core on each way that it can take, from packet to packet on the
 * in-memory NIC, 32 requests at a time. Control is played by the program and not measured. Prints
 * cycles; with
 * --case it only makes requests, for perf/instructions to count. A way is a row of cases[]. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/clock.h"
#include "perf/peers.h"
#include "perf/report.h"

#define BATCH        NIC_BURST
#define WARM_BATCHES 64u
#define ROUNDS_MAX   64u /* of a batch, before it counts as stuck */
#define BODY_LARGE   16384u
#define FIELDS                                                              \
	"Content-Type: application/json\r\nCache-Control: max-age=3600\r\n" \
	"Date: Tue, 14 Nov 2023 22:13:20 GMT\r\nETag: \"65c0-1\"\r\n"
#define FIELDS_NO_STORE "Content-Type: application/json\r\nCache-Control: no-store\r\n"

struct run {
	struct peers peers;
	struct hot_share *share; /* of two cores, NULL: the core is alone */
	struct counters other;   /* the other core's */
	char item[32];           /* the name of the object that is asked for */
	const struct path_case *the;
	bool timed;
	uint64_t cycles; /* of this batch */
	uint64_t batches;
	uint64_t names; /* targets made so far */
	char body[BODY_LARGE];
};

struct path_case {
	const char *name;
	const char *about;
	const char *target;
	const char *fields;  /* of the origin's answer */
	uint32_t body_bytes; /* of the object */
	bool stored;         /* in the hot table before */
	bool distinct;       /* every request has a target of its own */
	bool fill;           /* control has the answer stored */
	bool connects;       /* a connection for each request */
	bool shared;         /* there is another core */
	bool elsewhere;      /* which owns the object */
	const char *yaml;    /* NULL: the rig's */
};

/* So small that there is no L0. */
#define YAML_NO_L0                                                                  \
	"node: rig\nmemory:\n    huge_pages: 'off'\n    hot_table_bytes: 1048576\n" \
	"    up_blocks: 256\n    down_blocks: 512\n" RIG_YAML_WORLD RIG_YAML_ROUTE

/* A hit whose request is verified is one more row, with the fields that it needs in its request. */
static const struct path_case cases[] = {
        {.name = "hit",
         .about = "100-byte object from the hot table, keep-alive",
         .target = "/item/1",
         .fields = FIELDS,
         .body_bytes = 100,
         .stored = true},
        {.name = "hit_own",
         .about = "the same with a second core, which owns other objects",
         .target = "/item/1",
         .fields = FIELDS,
         .body_bytes = 100,
         .stored = true,
         .shared = true},
        {.name = "hit_l0",
         .about = "of an object that the second core owns, from the copy",
         .target = "/item/1",
         .fields = FIELDS,
         .body_bytes = 100,
         .stored = true,
         .shared = true,
         .elsewhere = true},
        {.name = "hit_remote",
         .about = "the same, from the second core's table",
         .target = "/item/1",
         .fields = FIELDS,
         .body_bytes = 100,
         .stored = true,
         .shared = true,
         .elsewhere = true,
         .yaml = YAML_NO_L0},
        {.name = "hit_16k",
         .about = "16 KiB object in segments of 1,448 bytes, an ACK for two of them",
         .target = "/item/1",
         .fields = FIELDS,
         .body_bytes = BODY_LARGE,
         .stored = true},
        {.name = "hit_new_connection",
         .about = "SYN to TIME-WAIT with one hit of 100 bytes, closed by the server",
         .target = "/item/1",
         .fields = FIELDS,
         .body_bytes = 100,
         .stored = true,
         .connects = true},
        {.name = "miss",
         .about = "to control and back, 100 bytes that may not be stored",
         .target = "/item/1",
         .fields = FIELDS_NO_STORE,
         .body_bytes = 100},
        {.name = "miss_stored",
         .about = "to control and back, 100 bytes that are stored under a new key",
         .target = "/item/",
         .fields = FIELDS,
         .body_bytes = 100,
         .distinct = true,
         .fill = true},
};

static void round_run(struct run *r)
{
	if (r->timed)
		r->cycles += path_round(&r->peers);
	else
		path_round_idle(&r->peers);
}

static void request_send(struct run *r, struct peer *p)
{
	char text[256];
	int len;

	if (r->the->distinct)
		len = snprintf(text, sizeof(text),
		               "GET %s%08llu HTTP/1.1\r\nHost: api.test\r\n\r\n", r->the->target,
		               (unsigned long long)r->names++);
	else
		len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: api.test\r\n%s\r\n",
		               r->item, r->the->connects ? "Connection: close\r\n" : "");
	peer_request(&r->peers, p, span_of(text, (size_t)len));
}

/* Control's part: answers every request that has come, and gives its block back. */
static void control_answer(struct run *r)
{
	struct rig *rig = &r->peers.rig;
	struct chan_msg m;

	while (rig_recv(rig, &m)) {
		struct rig_answer a = {
		        .ticket = m.ticket,
		        .request = chan_peer_bytes(&rig->control, &m),
		        .status = 200,
		        .fields = r->the->fields,
		        .body = span_of(r->body, r->the->body_bytes),
		        .body_len = r->the->body_bytes,
		        .flags = r->the->fill ? CHAN_F_FILL : 0,
		        .lifetime_ms = r->the->fill ? 3600 * 1000 : 0,
		};

		r->peers.bad |= m.type != CHAN_REQUEST || a.request == NULL || !rig_reply(rig, &a);
		rig_release_up(rig, m.block);
	}
}

static bool all_ended(struct run *r, uint32_t first)
{
	for (uint32_t i = 0; i < BATCH; i++)
		if (!r->peers.peer[(first + i) % PEERS].ended)
			return false;
	return true;
}

/* Connections in place of the batch's: their requests go with the ACK of the SYN-ACK. */
static void batch_connect(struct run *r, uint32_t first)
{
	peers_syn(&r->peers, first, BATCH);
	round_run(r);
}

static void batch_close(struct run *r, uint32_t first)
{
	r->peers.bad |= !all_ended(r, first);
	for (uint32_t i = 0; i < BATCH; i++)
		peer_ack(&r->peers, &r->peers.peer[(first + i) % PEERS], true);
	round_run(r);
}

static void batch_run(struct run *r)
{
	uint32_t first = (uint32_t)(r->batches++ % (PEERS / BATCH)) * BATCH;
	uint64_t wanted = r->peers.answers + BATCH;

	if (r->the->connects)
		batch_connect(r, first);
	for (uint32_t i = 0; i < BATCH; i++)
		request_send(r, &r->peers.peer[first + i]);
	for (uint32_t i = 0; i < ROUNDS_MAX && r->peers.answers < wanted; i++) {
		round_run(r);
		control_answer(r);
	}
	r->peers.bad |= r->peers.answers != wanted;
	if (r->the->connects)
		batch_close(r, first);
}

/* The length of a whole answer, from one that is asked for alone. */
static void answer_measure(struct run *r)
{
	struct peers *b = &r->peers;

	b->answer_bytes = UINT32_MAX;
	request_send(r, &b->peer[0]);
	for (uint32_t i = 0; i < ROUNDS_MAX; i++)
		path_round_idle(b);
	peer_ack(b, &b->peer[0], false);
	path_round_idle(b);
	b->answer_bytes = (uint32_t)b->bytes;
	b->peer[0].due = 0;
	b->bytes = 0;
}

/* Two cores, of which the second has a table and does nothing. */
static enum status shared_create(struct run *r)
{
	struct peers *b = &r->peers;
	enum status st = hot_share_create(&r->share, 2);
	struct hot_config hot;

	if (st == ST_OK)
		st = peers_create_shared(b, r->the->yaml, r->share);
	if (st != ST_OK)
		return st;
	hot = (struct hot_config){.memory_bytes = b->rig.config->memory.hot_table_bytes,
	                          .max_object_bytes = b->rig.config->limits.object_bytes};
	st = hot_share_join(r->share, 1, &hot, &r->other);
	if (st == ST_OK)
		hot_share_link(r->share);
	return st;
}

/* The first object whose owner is the one that the case wants: what lies elsewhere than with its
 * owner is not found. */
static bool object_put(struct run *r)
{
	struct rig *rig = &r->peers.rig;
	struct hot_table *table = rig->core->hot;

	if (r->the->elsewhere)
		table = hot_view_own(hot_share_view(r->share, 1));
	for (uint32_t n = 1; n < 64; n++) {
		struct cache_key key = {0};
		struct hot_found found;
		char text[64];
		bool there;

		snprintf(r->item, sizeof(r->item), "/item/%u", n);
		snprintf(text, sizeof(text), "api.test%s", r->item);
		if (rig_table_put(rig, table, text, r->the->fields,
		                  span_of(r->body, r->the->body_bytes)) != ST_OK)
			return false;
		key.text = span_of(text, strlen(text));
		key.hash = hash128(text, key.text.len, rig->core->hash_seed);
		there = hot_view_get(rig->core->view, &key, &found) != NULL;
		hot_view_done(rig->core->view, &found);
		if (there)
			return true;
	}
	return false;
}

static bool case_open(struct run *r)
{
	struct peers *b = &r->peers;

	memset(r->body, 'x', sizeof(r->body));
	snprintf(r->item, sizeof(r->item), "%s", r->the->target);
	if ((r->the->shared ? shared_create(r) : peers_create(b, NULL)) != ST_OK)
		return false;
	/* Callgrind counts the same on every machine that has AVX2. */
	if (http1_init("avx2") == NULL)
		fprintf(stderr, "bench_paths: no AVX2: figures are of another path\n");
	if (r->the->stored && !object_put(r))
		return false;
	if (!r->the->stored && !rig_attach(&b->rig, 1))
		return false;
	if (!r->the->connects)
		peers_open(b);
	if (r->the->body_bytes > 1000)
		answer_measure(r);
	for (uint32_t i = 0; i < WARM_BATCHES; i++)
		batch_run(r);
	return true;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Median cycles a request. */
static double batches_run(struct run *r, uint32_t batches)
{
	uint64_t *took = calloc(batches, sizeof(*took));
	double median;

	if (took == NULL)
		exit(1);
	for (uint32_t i = 0; i < batches; i++) {
		r->cycles = 0;
		batch_run(r);
		took[i] = r->cycles;
	}
	qsort(took, batches, sizeof(*took), compare_u64);
	median = (double)took[batches / 2] / BATCH;
	free(took);
	return median;
}

/* All but the first few were answered from where the case says. */
static bool where_expected(const struct run *r)
{
	const struct counters *c = r->peers.rig.core->ctr;
	uint64_t hits = counter_read(c, CTR_cache_hit);
	uint64_t l0 = counter_read(c, CTR_cache_hit_l0),
	         remote = counter_read(c, CTR_cache_hit_remote);
	uint64_t own = hits - l0 - remote;
	uint64_t here = !r->the->elsewhere ? own : r->the->yaml != NULL ? remote : l0;

	if (hits > 0 && here + 64 >= hits)
		return true;
	fprintf(stderr, "bench_paths: %s: hits came from elsewhere\n", r->the->name);
	return false;
}

/* Requests of one case; cycles a request, or below 0 after an error. */
static double case_run(const struct path_case *the, uint32_t batches, enum config_stages mode)
{
	struct run *r = calloc(1, sizeof(*r));
	double cycles = -1;

	if (r == NULL)
		return -1;
	r->the = the;
	if (case_open(r)) {
		stages_set_mode(&r->peers.rig.core->stages, mode);
		r->timed = true;
		cycles = batches_run(r, batches);
	}
	if (r->peers.bad) {
		fprintf(stderr, "bench_paths: %s: wrong or missing answers\n", the->name);
		cycles = -1;
	}
	if (r->the->shared && !where_expected(r))
		cycles = -1;
	peers_destroy(&r->peers);
	hot_share_destroy(r->share);
	free(r);
	return cycles;
}

static const char about[] =
        "Cycles a request costs the core on each way that it can take, on the in-memory NIC.\n"
        "  --list          print the cases and what they are\n"
        "  --case NAME     only this case, and no report: for callgrind\n"
        "  --batches N     so many times 32 requests\n"
        "  --stages MODE   off, sampled or all: the core's stage counters (sampled)";

struct options {
	const char *only;
	uint32_t batches;
	enum config_stages mode;
};

static bool option_take(struct options *o, const char *name, const char *value)
{
	static const char *const modes[] = {"off", "sampled", "all"};

	if (value == NULL)
		return false;
	if (strcmp(name, "--case") == 0) {
		o->only = value;
		return true;
	}
	if (strcmp(name, "--batches") == 0) {
		o->batches = (uint32_t)strtoul(value, NULL, 10);
		return o->batches > 0;
	}
	for (uint32_t i = 0; i < ARRAY_LEN(modes) && strcmp(name, "--stages") == 0; i++) {
		o->mode = (enum config_stages)i;
		if (strcmp(value, modes[i]) == 0)
			return true;
	}
	return false;
}

static void cases_list(void)
{
	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++)
		printf("%s\t%s\n", cases[i].name, cases[i].about);
}

int main(int argc, char **argv)
{
	struct report rep;
	int n = report_init(&rep, about, argc, argv), found = 0;
	struct options o = {.batches = rep.short_run ? 50 : 5000, .mode = CONFIG_STAGES_SAMPLED};

	for (int i = 0; i < n; i += 2) {
		if (strcmp(rep.argv[i], "--list") == 0) {
			cases_list();
			return 0;
		}
		if (!option_take(&o, rep.argv[i], i + 1 < n ? rep.argv[i + 1] : NULL)) {
			fprintf(stderr, "bench_paths: wrong option %s; see --help\n", rep.argv[i]);
			return 2;
		}
	}
	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (o.only != NULL && strcmp(o.only, cases[i].name) != 0)
			continue;
		double cycles = case_run(&cases[i], o.batches, o.mode);

		if (cycles < 0)
			return 1;
		found++;
		report_add(&rep, cycles, "median of batches of 32", "%s_cycles", cases[i].name);
	}
	if (found == 0) {
		fprintf(stderr, "bench_paths: no case %s; see --list\n", o.only);
		return 2;
	}
	if (o.only == NULL)
		report_print(&rep);
	free(rep.argv);
	return 0;
}
