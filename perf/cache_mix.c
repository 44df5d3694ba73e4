/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The mix of endpoints that the shipped rules are for (docs/examples), against the cache's own
 * tiers: the shared hot tables of some cores and control's store. Zipf 1.0 over ids, the rules'
 * times to live, and mutations with the purges that the rules order. No network: what is counted is
 * which tier answers. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/hot_share.h"
#include "cache/store.h"
#include "perf/report.h"

#define CORES      4u
#define IDS_MAX    20000u
#define BODY_MAX   8192u
#define FIELDS     "Content-Type: application/json\r\nCache-Control: max-age=300\r\n"
#define POLL_EVERY 16u /* requests between two rounds of the cores */

/* weight: of 1,000 reads. */
static const struct endpoint {
	const char *name;
	const char *form; /* of the key, with the id */
	uint32_t weight, ids, ttl_s, body_bytes;
} endpoints[] = {
        {"risk_list", "risk:list:page=%u", 180, 600, 300, 6000},
        {"risk_id", "risk:id:%u", 220, 20000, 300, 1200},
        {"risk_search", "risk:search:%u", 40, 2000, 300, 4000},
        {"risk_matrix", "risk:matrix:period=%u", 40, 4, 300, 2000},
        {"dashboard_stats", "dashboard:stats:period=%u", 110, 4, 600, 1500},
        {"dashboard_matrix", "dashboard:matrix%u", 40, 1, 600, 2500},
        {"dashboard_timeline", "dashboard:timeline:days=%u", 40, 4, 600, 5000},
        {"connectors", "marketplace:connectors:%u", 80, 36, 900, 7000},
        {"connector", "marketplace:connector:%u", 40, 500, 900, 1500},
        {"app", "marketplace:app:%u", 30, 500, 1200, 1500},
        {"overview", "overview:all%u", 60, 1, 60, 3000},
        {"capability", "cap:%u", 70, 20000, 3600, 400},
        {"decision", "dec:%u", 50, 20000, 3600, 600},
};

/* TIER_STALE: answered by a stale object, with one request to the origin behind it. */
enum tier { TIER_OWN, TIER_L0, TIER_REMOTE, TIER_STORE, TIER_STALE, TIER_ORIGIN, TIERS };
static const char *const tier_names[] = {"own", "l0", "remote", "store", "stale", "origin"};

struct mix {
	struct hot_share *share;
	struct hot_view *views[CORES];
	struct counters ctr[CORES];
	struct store *store;
	uint64_t random, seq, now_ms;
	uint64_t reads[ARRAY_LEN(endpoints)][TIERS];
	uint64_t mutations;
	bool soft; /* mutations purge softly: stale until it is fetched anew */
	double cdf[IDS_MAX];
};

struct options {
	uint32_t requests, rate, hot_bytes, store_bytes;
	double mutation_share;
	bool soft;
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "cache_mix: %s\n", what);
	exit(1);
}

static double random_unit(struct mix *m)
{
	m->random = m->random * 6364136223846793005ull + 1442695040888963407ull;
	return (double)(m->random >> 11) / (double)(1ull << 53);
}

static uint32_t zipf(struct mix *m, uint32_t n)
{
	double want = random_unit(m) * m->cdf[n - 1];
	uint32_t low = 0;

	for (uint32_t high = n - 1; low < high;) {
		uint32_t mid = low + (high - low) / 2;

		if (m->cdf[mid] < want)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void purge(struct mix *m, enum inval_kind kind, const char *text)
{
	struct inval_purge p = {
	        .seq = ++m->seq, .kind = kind, .soft = m->soft, .text = span_cstr(text)};
	struct hash128 hash = hash128(text, p.text.len, 1);

	(void)store_purge(m->store, &p);
	for (uint32_t c = 0; c < CORES; c++) {
		(void)hot_purge(hot_view_own(m->views[c]), &p, hash);
		(void)hot_purge(hot_view_l0(m->views[c]), &p, hash);
	}
}

/* Three in ten create a risk, six update one, one deletes it. */
static void mutate(struct mix *m)
{
	double what = random_unit(m);
	char text[64];

	m->mutations++;
	purge(m, INVAL_PATTERN, "risk:list:*");
	if (what < 0.3) {
		purge(m, INVAL_PATTERN, "dashboard:stats:*");
		return;
	}
	snprintf(text, sizeof(text), "risk:id:%u", zipf(m, 20000));
	purge(m, INVAL_KEY, text);
	purge(m, INVAL_PATTERN, "dashboard:*");
	if (what > 0.9)
		purge(m, INVAL_PATTERN, "report:*");
}

struct head {
	struct object o;
	char rest[256];
};

static void head_make(struct mix *m, const struct endpoint *e, const struct cache_key *key,
                      struct head *h)
{
	*h = (struct head){.o = {.hash = key->hash,
	                         .response_ms = m->now_ms,
	                         .expires_ms = m->now_ms + e->ttl_s * 1000ull,
	                         .body_len = e->body_bytes,
	                         .born_seq = m->seq,
	                         .key_len = (uint32_t)key->text.len,
	                         .fields_len = sizeof(FIELDS) - 1,
	                         .status = 200,
	                         .flags = OBJECT_STORABLE}};
	memcpy(h->rest, key->text.ptr, key->text.len);
	memcpy(h->rest + key->text.len, FIELDS, sizeof(FIELDS) - 1);
}

static void fill_hot(struct hot_view *v, const struct object *head, struct span body)
{
	struct hot_table *t =
	        hot_view_table(v, head->hash, object_head_bytes(head) + head->body_len);
	struct hot_fill f;

	if (hot_fill_begin(t, &f, head, body.len) != ST_OK)
		return;
	(void)hot_fill_append(t, &f, body);
	const struct object *o = hot_fill_commit(t, &f);
	if (o != NULL)
		hot_view_stored(v, t, o);
}

static void fill_store(struct mix *m, const struct object *head, struct span body)
{
	struct store_fill *f;

	if (store_fill_begin(m->store, head, body.len, &f) != ST_OK)
		return;
	if (store_fill_append(f, body) != ST_OK) {
		store_fill_abort(f);
		return;
	}
	struct store_entry *e = store_fill_commit(f);
	if (e != NULL)
		store_drop(e);
}

static enum tier read_one(struct mix *m, const struct endpoint *e, struct hot_view *v)
{
	static const enum tier tier_of[] = {
	        [HOT_OWN] = TIER_OWN, [HOT_L0] = TIER_L0, [HOT_REMOTE] = TIER_REMOTE};
	static const char body[BODY_MAX] = "{}";
	struct hot_found found;
	char text[64];
	int len = snprintf(text, sizeof(text), e->form, zipf(m, e->ids));
	struct cache_key key = {.text = span_of(text, len), .hash = hash128(text, (size_t)len, 1)};
	const struct object *o = hot_view_get(v, &key, &found);
	enum tier tier = tier_of[found.where];
	bool fresh = o != NULL && object_is_fresh(o, m->now_ms);
	bool stale = false;

	hot_view_done(v, &found);
	if (fresh)
		return tier;
	struct store_entry *s = store_get(m->store, key.text, &stale);
	if (s != NULL && !stale && object_is_fresh(s->head, m->now_ms)) {
		/* The core's hash is under a seed of its own; here it is the same. */
		struct head h;
		head_make(m, e, &key, &h);
		h.o.response_ms = s->head->response_ms;
		h.o.expires_ms = s->head->expires_ms;
		fill_hot(v, &h.o, span_of(s->body, s->body_len));
		store_drop(s);
		return TIER_STORE;
	}
	bool has_stale = m->soft && (o != NULL || s != NULL);
	if (s != NULL)
		store_drop(s);
	struct head h;
	head_make(m, e, &key, &h);
	fill_store(m, &h.o, span_of(body, e->body_bytes));
	fill_hot(v, &h.o, span_of(body, e->body_bytes));
	return has_stale ? TIER_STALE : TIER_ORIGIN;
}

static uint32_t endpoint_pick(struct mix *m)
{
	uint32_t at = (uint32_t)(random_unit(m) * 1000);
	uint32_t i = 0;

	for (; i + 1 < ARRAY_LEN(endpoints) && at >= endpoints[i].weight; i++)
		at -= endpoints[i].weight;
	return i;
}

static void round_of_cores(struct mix *m)
{
	for (uint32_t c = 0; c < CORES; c++) {
		hot_view_wall(m->views[c], m->now_ms);
		(void)hot_view_poll(m->views[c]);
		(void)hot_sweep(hot_view_own(m->views[c]), 256);
		(void)hot_sweep(hot_view_l0(m->views[c]), 256);
	}
	(void)store_sweep(m->store, 256, m->now_ms);
}

static void mix_open(struct mix *m, const struct options *opt)
{
	struct hot_config hc = {.memory_bytes = opt->hot_bytes, .max_object_bytes = 65536};
	struct store_config sc = {
	        .memory_bytes = opt->store_bytes, .max_object_bytes = 1u << 20, .max_variants = 8};
	double sum = 0;

	m->random = 42;
	m->soft = opt->soft;
	m->now_ms = 1000000;
	for (uint32_t i = 0; i < IDS_MAX; i++)
		m->cdf[i] = sum += 1.0 / (i + 1);
	must(hot_share_create(&m->share, CORES) == ST_OK, "out of memory");
	for (uint32_t c = 0; c < CORES; c++) {
		must(hot_share_join(m->share, c, &hc, &m->ctr[c]) == ST_OK, "no hot table");
		m->views[c] = hot_share_view(m->share, c);
	}
	hot_share_link(m->share);
	must(store_create(&m->store, &sc) == ST_OK, "no store");
}

static void mix_report(struct report *r, const struct mix *m, const char *tag)
{
	uint64_t tiers[TIERS] = {0}, all = 0;

	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++) {
		uint64_t reads = 0;

		for (uint32_t t = 0; t < TIERS; t++) {
			tiers[t] += m->reads[i][t];
			reads += m->reads[i][t];
		}
		all += reads;
		report_add(r, 100 - 100.0 * (double)m->reads[i][TIER_ORIGIN] / (double)reads, NULL,
		           "%s_%s_hit_pct", tag, endpoints[i].name);
	}
	for (uint32_t t = 0; t < TIERS; t++)
		report_add(r, 100.0 * (double)tiers[t] / (double)all, NULL, "%s_%s_pct", tag,
		           tier_names[t]);
	report_add(r, 100 - 100.0 * (double)tiers[TIER_ORIGIN] / (double)all, NULL, "%s_hit_pct",
	           tag);
	report_add(r, (double)m->mutations, NULL, "%s_mutations", tag);
}

/* The first third fills the tiers and does not count. */
static void mix_run(struct report *r, const struct options *opt, const char *tag)
{
	struct mix *m = calloc(1, sizeof(*m));

	must(m != NULL, "out of memory");
	mix_open(m, opt);
	for (uint32_t n = 0; n < opt->requests; n++) {
		m->now_ms = 1000000 + (uint64_t)n * 1000 / opt->rate;
		if (n == opt->requests / 3) {
			memset(m->reads, 0, sizeof(m->reads));
			m->mutations = 0;
		}
		if (n % POLL_EVERY == 0)
			round_of_cores(m);
		if (random_unit(m) < opt->mutation_share) {
			mutate(m);
			continue;
		}
		uint32_t e = endpoint_pick(m);
		uint32_t core = (uint32_t)(random_unit(m) * CORES);
		m->reads[e][read_one(m, &endpoints[e], m->views[core])]++;
	}
	mix_report(r, m, tag);
	store_destroy(m->store);
	hot_share_destroy(m->share);
	free(m);
}

static const char about[] = "  --requests N   reads and mutations of each run (1000000)\n"
                            "  --rate N       of them a second, for what expires (5000)\n"
                            "  --hot N        MiB of a core's hot table (8)\n"
                            "  --store N      MiB of control's store (64)";

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"json", no_argument, NULL, 'j'},
	        {"short", no_argument, NULL, 0},
	        {"requests", required_argument, NULL, 'n'},
	        {"rate", required_argument, NULL, 'r'},
	        {"hot", required_argument, NULL, 'h'},
	        {"store", required_argument, NULL, 's'},
	        {0},
	};
	static struct report report;
	struct options opt = {
	        .requests = 1000000, .rate = 5000, .hot_bytes = 8u << 20, .store_bytes = 64u << 20};

	report_init(&report, about, argc, argv);
	if (report.short_run)
		opt.requests = 60000;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		uint32_t n = optarg != NULL ? max_u32((uint32_t)strtoul(optarg, NULL, 10), 1) : 0;

		if (c == 0 || c == 'j')
			continue; /* report_init's */
		else if (c == 'n')
			opt.requests = max_u32(n, 1000);
		else if (c == 'r')
			opt.rate = n;
		else if (c == 'h')
			opt.hot_bytes = min_u32(max_u32(n, 2), 2048) << 20;
		else if (c == 's')
			opt.store_bytes = min_u32(n, 2048) << 20;
		else
			return 2;
	}
	mix_run(&report, &opt, "reads_only");
	opt.mutation_share = 0.001;
	mix_run(&report, &opt, "mutations_0_1pct");
	opt.mutation_share = 0.01;
	mix_run(&report, &opt, "mutations_1pct");
	opt.soft = true;
	mix_run(&report, &opt, "mutations_1pct_soft");
	report_print(&report);
	return 0;
}
