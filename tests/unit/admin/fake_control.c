/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/clock_watch.h"
#include "control/chan_link.h"
#include "control/pattern.h"
#include "tests/unit/admin/fake_control.h"

#include "cache/object.h"
#include "lib/clock.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fake_reload fake_reload;

struct upstreams {
	int unused;
};

static struct upstreams fake_upstreams;
static struct fetcher {
	int unused;
} fake_fetcher;

static const char config_text[] = "node: test\n"
                                  "listeners: [{address: 192.0.2.10}]\n"
                                  "ports: [{interface: veth0, cores: [0]}]\n"
                                  "upstreams: [{name: api, addresses: [\"127.0.0.1:8080\"]}]\n"
                                  "routes: [{upstream: api, cache: {mode: \"off\"}}]\n"
                                  "admin: {socket: %s/deep/er/admin.sock, metrics_port: %u}\n";

static struct config *config_make(const char *dir, uint16_t metrics_port)
{
	struct config_error err = {""};
	struct config *cfg = NULL;
	char text[1024];

	snprintf(text, sizeof(text), config_text, dir, metrics_port);
	if (config_parse(text, strlen(text), "test.yaml", &cfg, &err) != ST_OK) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	return cfg;
}

struct control *fake_control_create(const char *dir, uint16_t metrics_port)
{
	struct control *ctl = calloc(1, sizeof(*ctl));
	struct chan_server *s = calloc(1, sizeof(*s));
	struct config_error err = {""};

	s->attached = true;
	s->generation = 0xfeed;
	s->cores = 2;
	s->conns = 3;
	s->entries = 2;
	s->stats = aligned_alloc(CACHE_LINE, CHAN_MAX_CORES * sizeof(*s->stats));
	memset(s->stats, 0, CHAN_MAX_CORES * sizeof(*s->stats));
	ctl->config_path = "/etc/sluice/test.yaml";
	ctl->config = config_make(dir, metrics_port);
	if (snapshot_build(ctl->config, &ctl->snapshot, &err) != ST_OK)
		abort();
	if (loop_create(&ctl->loop, &(struct loop_config){.entries = 1024}) != ST_OK)
		abort();
	ctl->chan = s;
	ctl->upstreams = &fake_upstreams;
	ctl->fetcher = &fake_fetcher;
	ctl->started_ns = loop_now_ns(ctl->loop);
	ctl->warm = (struct warm *)&fake_warm;
	fake_warm = (struct fake_warm){0};
	fake_reload = (struct fake_reload){.st = ST_OK, .text = ""};
	return ctl;
}

void fake_control_destroy(struct control *ctl)
{
	loop_destroy(ctl->loop);
	free(ctl->snapshot);
	config_free(ctl->config);
	free(ctl->chan->stats);
	free(ctl->chan);
	free(ctl);
}

char *fake_dir_make(void)
{
	char *dir = strdup("/tmp/sluice-test-XXXXXX");

	if (!mkdtemp(dir))
		abort();
	return dir;
}

static int entry_remove(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	(void)sb;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fake_dir_remove(char *dir)
{
	nftw(dir, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

bool chan_server_attached(const struct chan_server *s)
{
	return s->attached;
}

uint32_t chan_server_cores(const struct chan_server *s)
{
	return s->attached ? s->cores : 0;
}

uint64_t chan_server_generation(const struct chan_server *s)
{
	return s->attached ? s->generation : 0;
}

uint32_t chan_server_dataplane_pid(const struct chan_server *s)
{
	return s->attached ? 4242 : 0;
}

uint32_t chan_server_down_blocks_free(const struct chan_server *s)
{
	return s->attached ? 4000 : 0;
}

void chan_server_watch(struct chan_server *s, chan_attached_fn fn, void *arg)
{
	s->watcher = fn;
	s->watcher_arg = arg;
}

bool chan_server_stats(struct chan_server *s, uint32_t core, struct core_stats *out)
{
	if (!s->attached || core >= s->cores)
		return false;
	memcpy(out, &s->stats[core], sizeof(*out));
	return true;
}

static size_t conn_records(const struct chan_server *s, const struct fake_pending *q,
                           unsigned char *at, uint64_t *next)
{
	uint64_t i = q->cursor;
	uint64_t end = min_u64(i + q->max, s->conns);
	size_t len = 0;

	for (; i < end; i++) {
		struct chan_conn_row row = {
		        .local = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 10},
		        .remote = {0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)i},
		        .local_port = 80,
		        .remote_port = (uint16_t)(40000 + i),
		        .state = (uint8_t)(i % 2 ? 10 : 4),
		        .srtt_us = 150,
		        .age_s = 7,
		};

		memcpy(at + len, &row, sizeof(row));
		len += sizeof(row);
	}
	*next = i < s->conns ? i : 0;
	return len;
}

static size_t object_record(unsigned char *at, const char *key, const char *fields)
{
	struct object o = {
	        .response_ms = clock_wall_ns() / NS_PER_MS - 5000,
	        .expires_ms = clock_wall_ns() / NS_PER_MS + 60500,
	        .body_len = 100,
	        .key_len = (uint32_t)strlen(key),
	        .fields_len = (uint32_t)strlen(fields),
	        .status = 200,
	        /* As the core sends rows: with places in field lines that it left out. */
	        .etag_off = 6,
	        .etag_len = 3,
	};

	memcpy(at, &o, sizeof(o));
	memcpy(at + sizeof(o), key, o.key_len);
	memcpy(at + sizeof(o) + o.key_len, fields, o.fields_len);
	return object_head_bytes(&o);
}

static size_t cache_records(const struct chan_server *s, const struct fake_pending *q,
                            unsigned char *at, uint64_t *next)
{
	uint64_t end = min_u64(q->cursor + q->max, s->entries);
	size_t len = 0;
	char key[64];

	for (uint64_t i = q->cursor; i < end; i++) {
		snprintf(key, sizeof(key), "api.example/v1/%u/%llu", q->core,
		         (unsigned long long)i);
		len += align_up(object_record(at + len, key, ""), 8);
	}
	*next = end < s->entries ? end : 0;
	return len;
}

static size_t info_record(const struct fake_pending *q, unsigned char *at)
{
	struct chan_core_info info = {
	        .uptime_ms = 61000,
	        .snapshot_id = 7,
	        .core_id = q->core + 2,
	        .conns = 3,
	        .up_blocks_free = 1000,
	        .pkts_free = 16000,
	};

	memcpy(at, &info, sizeof(info));
	return sizeof(info);
}

static void answer(struct chan_server *s, const struct fake_pending *q)
{
	static unsigned char block[1 << 16] ALIGNED(8);
	uint64_t next = 0;
	size_t len = 0;

	if (!s->attached || (s->no_answer_core1 && q->core == 1)) {
		q->cb(q->arg, s->attached ? ST_TIMEOUT : ST_CLOSED, NULL, 0, 0);
		return;
	}
	switch (q->kind) {
	case CHAN_QUERY_CONNS:
		len = conn_records(s, q, block, &next);
		break;
	case CHAN_QUERY_CACHE:
		len = cache_records(s, q, block, &next);
		break;
	case CHAN_QUERY_CACHE_GET:
		if (q->core == s->entry_core)
			len = object_record(block, "api.example/v1/1",
			                    "ETag: \"1\"\r\nVia: \xe9\r\n");
		next = len > 0;
		break;
	case CHAN_QUERY_INFO:
		len = info_record(q, block);
		break;
	}
	if (s->garbage) /* cut into the last record, past its padding */
		len -= min_size(len, 9);
	q->cb(q->arg, ST_OK, block, len, next);
}

void fake_answer_all(struct chan_server *s)
{
	while (s->pending_count > 0) {
		struct fake_pending q = s->pending[--s->pending_count];

		answer(s, &q);
	}
	if (s->purge_cb) {
		chan_result_fn cb = s->purge_cb;

		s->purge_cb = NULL;
		cb(s->purge_arg, s->attached ? ST_OK : ST_CLOSED, NULL, 0, s->purges);
	}
}

void chan_server_query(struct chan_server *s, uint32_t core, enum chan_query kind, uint64_t cursor,
                       uint32_t max, struct span key, chan_result_fn cb, void *arg)
{
	struct fake_pending q = {core, kind, cursor, max, cb, arg};

	(void)key;
	if (!s->later) {
		answer(s, &q);
		return;
	}
	assert(s->pending_count < FAKE_PENDING_MAX);
	s->pending[s->pending_count++] = q;
}

uint64_t link_hash_seed(const struct chan_server *s)
{
	(void)s;
	return 1;
}

uint64_t chan_server_purge(struct chan_server *s, const struct purge_order *o, chan_result_fn cb,
                           void *arg)
{
	s->purges++;
	s->purge = *o;
	snprintf(s->purge_text, sizeof(s->purge_text), "%.*s", (int)o->text.len, o->text.ptr);
	s->purge_cb = cb;
	s->purge_arg = arg;
	if (!s->later)
		fake_answer_all(s);
	return 1000 + s->purges;
}

void chan_server_drain(struct chan_server *s, uint32_t deadline_ms)
{
	s->drain_calls++;
	s->drain_ms = deadline_ms;
}

void control_reload(struct control *ctl, control_done_fn done, void *arg)
{
	(void)ctl;
	fake_reload.calls++;
	done(arg, fake_reload.st, fake_reload.text);
}

bool upstreams_row(const struct upstreams *u, uint32_t index, struct upstream_row *out)
{
	static const struct upstream_row rows[] = {
	        {.name = "api",
	         .address = "127.0.0.1:8080",
	         .open = 3,
	         .idle = 2,
	         .requests = 1000,
	         .reused = 997,
	         .connects = 3,
	         .bytes_in = 1 << 20,
	         .bytes_out = 4096},
	        {.name = "od\"d\\name", .address = "[::1]:8081", .connect_errors = 5},
	};

	(void)u;
	if (index >= ARRAY_LEN(rows))
		return false;
	*out = rows[index];
	return true;
}

void fetcher_counts(const struct fetcher *f, struct fetcher_counts *out)
{
	(void)f;
	*out = (struct fetcher_counts){
	        .requests = 900, .store_hits = 7, .l3_hits = 5, .origin = 42};
}

void chan_server_counts(const struct chan_server *s, struct chan_server_counts *out)
{
	(void)s;
	*out = (struct chan_server_counts){0};
}

struct clock_counts clock_watch_counts(const struct clock_watch *w)
{
	(void)w;
	return (struct clock_counts){0};
}

struct store *fetcher_store(struct fetcher *f)
{
	(void)f;
	return NULL;
}

void pattern_state(const struct fetcher *f, const char *rule, struct pattern_state *out)
{
	(void)f;
	(void)rule;
	*out = (struct pattern_state){.why = ""};
}

void pattern_switch(struct fetcher *f, const char *rule, bool off, const char *why)
{
	(void)f;
	(void)rule;
	(void)off;
	(void)why;
}
