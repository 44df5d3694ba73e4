/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The shared store on a loop, told by lines what to do; for tests/e2e/test_l3.py.
 *
 *   l3_client ADDRESS[,ADDRESS] [NAME=NUMBER ...]     settings of struct l3_config; cluster=1
 *
 *   put KEY BYTES SEED [AGE_MS]   an object whose request left that long ago
 *   get KEY            prints "got KEY STATUS BYTES HASH"; HASH tells bodies apart
 *   body BYTES SEED    prints "body HASH"
 *   del KEY
 *   batch N            puts b0 to bN-1, then gets them, each in one call: "batch OK MISSES OTHER"
 *   each N             gets b0 to bN-1 in one round of the loop by a call each: the same
 *   load MS WIDTH N    for so long, WIDTH gets at a time over b0 to bN-1, a put for each miss; then
 *                      prints "load OK MISS TIMEOUT CLOSED FULL INVALID WRONG"; MS 0: until told
 *   unload             ends it
 *   purge KIND TEXT    publishes; purges of others print "purge KIND TEXT", or "lost"
 *   counts             prints "counts NAME=NUMBER ..."
 *   round              prints "round US": the longest since the last such line, without the time in
 *                      which other processes had the CPU
 *   quit */
#include "cache/inval.h"
#include "cache/l3.h"
#include "lib/clock.h"
#include "lib/http1.h"
#include "lib/log.h"

#include "l3_fixture.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define WORDS_MAX 8
#define WIDTH_MAX 512u
#define BATCH_MAX 1024u

struct client;

struct slot {
	struct client *c;
	char key[24];
	bool busy;
};

struct client {
	struct loop *loop;
	struct l3 *l3;
	struct loop_op input;
	struct loop_timer load_timer;
	char line[4096];
	size_t line_len;
	uint64_t load_until_ns;
	uint32_t load_width;
	uint32_t load_keys;
	uint32_t load_busy;
	uint32_t load_next;
	uint64_t results[ST_DENIED + 1];
	uint64_t wrong;
	uint32_t batch_left;
	uint64_t batch_ok, batch_miss, batch_other;
	struct slot slots[WIDTH_MAX];
	uint64_t round_began_ns;
	uint64_t round_waited_ns;
	uint64_t round_max_ns;
	int schedstat;
	bool quit;
};

/* --- how long a round takes --- */

/* Nanoseconds in which this thread could have run and another did. */
static uint64_t waited_ns(const struct client *c)
{
	char text[96];
	ssize_t n = pread(c->schedstat, text, sizeof(text) - 1, 0);
	uint64_t ran = 0, waited = 0;

	text[n > 0 ? n : 0] = '\0';
	if (sscanf(text, "%" SCNu64 " %" SCNu64, &ran, &waited) != 2)
		return 0;
	return waited;
}

static void round_begin(void *arg)
{
	struct client *c = arg;

	c->round_began_ns = clock_mono_ns();
	c->round_waited_ns = waited_ns(c);
}

static bool round_end(void *arg)
{
	struct client *c = arg;
	uint64_t took = clock_mono_ns() - c->round_began_ns;
	uint64_t waited = waited_ns(c) - c->round_waited_ns;

	c->round_max_ns = max_u64(c->round_max_ns, took > waited ? took - waited : 0);
	return true;
}

/* A busy loop has no sleep between rounds: the hook's poll bounds them as well. */
static uint32_t round_poll(void *arg)
{
	round_end(arg);
	round_begin(arg);
	return 0;
}

/* --- objects --- */

static void put(struct client *c, const char *key, size_t bytes, uint32_t seed, uint64_t age_ms)
{
	struct object *o = fixture_object(key, FIXTURE_FIELDS, bytes);
	char *body = fixture_body(bytes, seed);
	struct l3_item item = fixture_item(o, body);

	item.asked_ms -= age_ms;
	l3_put(c->l3, &item, 1);
	free(body);
	free(o);
}

/* A key "bN" has a body that follows from N, so that each answer can be checked. */
static size_t load_bytes(const char *key)
{
	return 100 + (size_t)(strtoul(key + 1, NULL, 10) * 37 % 4000);
}

static bool load_right(const char *key, const struct object *head, struct span body)
{
	char *want = fixture_body(load_bytes(key), (uint32_t)strtoul(key + 1, NULL, 10));
	bool right = span_eq(object_key(head), span_cstr(key)) &&
	             span_eq(body, span_of(want, load_bytes(key)));

	free(want);
	return right;
}

/* --- single gets --- */

static void on_get(void *arg, enum status st, const struct object *head, struct span body)
{
	char *key = arg;

	(void)head;
	printf("got %s %s %zu %016" PRIx64 "\n", key, status_text(st), body.len,
	       body.len > 0 ? hash64(body.ptr, body.len, 0) : 0);
	free(key);
}

static void get(struct client *c, const char *key)
{
	struct l3_ask ask = {.key = span_cstr(key), .fn = on_get, .arg = strdup(key)};

	if (l3_get(c->l3, &ask, 1) == 1)
		return;
	printf("got %s %s at once\n", key, status_text(ask.st));
	free(ask.arg);
}

/* --- batches --- */

static void batch_done(struct client *c)
{
	if (--c->batch_left == 0)
		printf("batch %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", c->batch_ok, c->batch_miss,
		       c->batch_other);
}

static void on_batch(void *arg, enum status st, const struct object *head, struct span body)
{
	struct client *c = arg;
	char key[CACHE_LINE] = "";

	if (st == ST_OK) {
		memcpy(key, object_key(head).ptr, min_size(object_key(head).len, sizeof(key) - 1));
		if (!load_right(key, head, body))
			st = ST_CORRUPT;
	}
	c->batch_ok += st == ST_OK;
	c->batch_miss += st == ST_NOTFOUND;
	c->batch_other += st != ST_OK && st != ST_NOTFOUND;
	batch_done(c);
}

static void batch_put(struct client *c, uint32_t n)
{
	static struct l3_item items[BATCH_MAX];
	char key[24];

	for (uint32_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "b%u", i);
		items[i] = fixture_item(fixture_object(key, FIXTURE_FIELDS, load_bytes(key)),
		                        fixture_body(load_bytes(key), i));
	}
	l3_put(c->l3, items, n);
	for (uint32_t i = 0; i < n; i++) {
		free((void *)(uintptr_t)items[i].body.ptr);
		free((void *)(uintptr_t)items[i].head);
	}
}

static void batch(struct client *c, uint32_t n, bool each)
{
	static struct l3_ask asks[BATCH_MAX];
	static char keys[BATCH_MAX][24];

	n = min_u32(n, BATCH_MAX);
	if (!each)
		batch_put(c, n);
	c->batch_ok = c->batch_miss = c->batch_other = 0;
	for (uint32_t i = 0; i < n; i++) {
		snprintf(keys[i], sizeof(keys[i]), "b%u", i);
		asks[i] = (struct l3_ask){.key = span_cstr(keys[i]), .fn = on_batch, .arg = c};
	}
	c->batch_left = n + 1;
	if (!each)
		l3_get(c->l3, asks, n);
	for (uint32_t i = 0; i < n && each; i++)
		l3_get(c->l3, &asks[i], 1);
	for (uint32_t i = 0; i < n; i++) {
		if (asks[i].wait == NULL) {
			c->batch_other++;
			batch_done(c);
		}
	}
	batch_done(c);
}

/* --- load --- */

static void load_step(struct client *c);

static void on_load(void *arg, enum status st, const struct object *head, struct span body)
{
	struct slot *s = arg;
	struct client *c = s->c;

	c->results[st]++;
	if (st == ST_OK && !load_right(s->key, head, body))
		c->wrong++;
	if (st == ST_NOTFOUND)
		put(c, s->key, load_bytes(s->key), (uint32_t)strtoul(s->key + 1, NULL, 10), 0);
	s->busy = false;
	c->load_busy--;
	load_step(c);
}

static void load_report(struct client *c)
{
	const uint64_t *r = c->results;

	printf("load %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
	       " %" PRIu64 "\n",
	       r[ST_OK], r[ST_NOTFOUND], r[ST_TIMEOUT], r[ST_CLOSED], r[ST_FULL], r[ST_INVALID],
	       c->wrong);
	c->load_until_ns = 0;
}

/* What is refused at once is tried again after a millisecond, as the next request would. */
static void load_step(struct client *c)
{
	bool over = loop_now_ns(c->loop) >= c->load_until_ns;

	for (uint32_t i = 0; i < c->load_width && !over; i++) {
		struct slot *s = &c->slots[i];
		struct l3_ask ask = {.fn = on_load, .arg = s};

		if (s->busy)
			continue;
		snprintf(s->key, sizeof(s->key), "b%u", c->load_next++ % c->load_keys);
		ask.key = span_cstr(s->key);
		s->c = c;
		if (l3_get(c->l3, &ask, 1) == 1) {
			s->busy = true;
			c->load_busy++;
			continue;
		}
		c->results[ask.st]++;
		break;
	}
	if (over && c->load_busy == 0 && c->load_until_ns != 0)
		load_report(c);
}

static void on_load_timer(struct loop_timer *t)
{
	struct client *c = t->arg;

	load_step(c);
	if (c->load_until_ns != 0)
		loop_timer_set(c->loop, t, loop_now_ns(c->loop) + NS_PER_MS);
}

static void load(struct client *c, uint32_t ms, uint32_t width, uint32_t keys)
{
	memset(c->results, 0, sizeof(c->results));
	c->wrong = 0;
	c->load_width = min_u32(width, WIDTH_MAX);
	c->load_keys = keys;
	c->load_until_ns = ms != 0 ? loop_now_ns(c->loop) + ms * NS_PER_MS : UINT64_MAX;
	on_load_timer(&c->load_timer);
}

/* --- the rest --- */

static void on_purge(void *arg, const struct l3_purge *p, bool lost)
{
	(void)arg;
	if (lost)
		printf("lost\n");
	else
		printf("purge %u %.*s\n", p->kind, (int)p->text.len, p->text.ptr);
}

static void purge(struct client *c, uint8_t kind, const char *text)
{
	struct l3_purge p = {
	        .kind = kind,
	        .text = span_cstr(text),
	        .wall_ms = fixture_wall_ms(),
	};

	l3_publish_purge(c->l3, &p);
}

static void counts(const struct client *c)
{
	struct l3_counts n;
	struct rusage ru;

	l3_counts(c->l3, &n);
	getrusage(RUSAGE_SELF, &ru);
#define COUNT(f) printf(#f "=%" PRIu64 " ", (uint64_t)n.f)
	printf("counts ");
	COUNT(gets);
	COUNT(hits);
	COUNT(misses);
	COUNT(puts);
	COUNT(timeouts);
	COUNT(errors);
	COUNT(refused);
	COUNT(corrupt);
	COUNT(stale);
	COUNT(too_big);
	COUNT(opened);
	COUNT(connects);
	COUNT(purges_sent);
	COUNT(purges_seen);
	COUNT(purges_lost);
	COUNT(moved);
	COUNT(asked);
	COUNT(bytes_in);
	COUNT(bytes_out);
	COUNT(sends);
	COUNT(in_flight);
	COUNT(servers);
	COUNT(servers_open);
	COUNT(open);
	COUNT(ready);
	printf("rss_kib=%ld\n", ru.ru_maxrss);
}

static uint32_t number(char **words, int i)
{
	return words[i] != NULL ? (uint32_t)strtoul(words[i], NULL, 10) : 0;
}

static void obey(struct client *c, char *line)
{
	char *words[WORDS_MAX + 1] = {NULL};
	char *save = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " ", &save); w != NULL && n < WORDS_MAX;
	     w = strtok_r(NULL, " ", &save))
		words[n++] = w;
	if (n == 0)
		return;
	if (strcmp(words[0], "put") == 0 && n >= 4) {
		put(c, words[1], number(words, 2), number(words, 3), number(words, 4));
	} else if (strcmp(words[0], "get") == 0 && n == 2) {
		get(c, words[1]);
	} else if (strcmp(words[0], "body") == 0 && n == 3) {
		char *body = fixture_body(number(words, 1), number(words, 2));
		printf("body %016" PRIx64 "\n", hash64(body, number(words, 1), 0));
		free(body);
	} else if (strcmp(words[0], "del") == 0 && n == 2) {
		l3_delete(c->l3, span_cstr(words[1]));
	} else if (strcmp(words[0], "batch") == 0 && n == 2) {
		batch(c, number(words, 1), false);
	} else if (strcmp(words[0], "each") == 0 && n == 2) {
		batch(c, number(words, 1), true);
	} else if (strcmp(words[0], "load") == 0 && n == 4) {
		load(c, number(words, 1), number(words, 2), max_u32(1, number(words, 3)));
	} else if (strcmp(words[0], "unload") == 0) {
		c->load_until_ns = loop_now_ns(c->loop);
	} else if (strcmp(words[0], "purge") == 0 && n >= 2) {
		purge(c, (uint8_t)number(words, 1), n > 2 ? words[2] : "");
	} else if (strcmp(words[0], "counts") == 0) {
		counts(c);
	} else if (strcmp(words[0], "round") == 0) {
		printf("round %" PRIu64 "\n", (uint64_t)(c->round_max_ns / NS_PER_US));
		c->round_max_ns = 0;
	} else if (strcmp(words[0], "quit") == 0) {
		c->quit = true;
	} else {
		printf("what is '%s'?\n", words[0]);
	}
}

static void on_input(struct loop_op *op, int result)
{
	struct client *c = op->arg;
	ssize_t n = read(STDIN_FILENO, c->line + c->line_len, sizeof(c->line) - 1 - c->line_len);
	char *end;

	(void)result;
	if (n <= 0) {
		c->quit = true;
		return;
	}
	c->line_len += (size_t)n;
	c->line[c->line_len] = '\0';
	while ((end = strchr(c->line, '\n')) != NULL) {
		*end = '\0';
		obey(c, c->line);
		c->line_len -= (size_t)(end + 1 - c->line);
		memmove(c->line, end + 1, c->line_len + 1);
	}
	if (!c->quit)
		loop_poll(c->loop, op, STDIN_FILENO, POLLIN, false);
}

static void setting(struct l3_config *cfg, const char *text)
{
	const char *eq = strchr(text, '=');
	size_t len = eq != NULL ? (size_t)(eq - text) : 0;
	uint32_t v = eq != NULL ? (uint32_t)strtoul(eq + 1, NULL, 10) : 0;

#define SETTING(f)                                     \
	if (span_eq(span_of(text, len), SPAN_LIT(#f))) \
	cfg->f = v
	SETTING(timeout_ms);
	SETTING(connect_ms);
	SETTING(retry_ms);
	SETTING(failures);
	SETTING(in_flight);
	SETTING(compress_bytes);
	SETTING(pending_bytes);
	SETTING(max_object_bytes);
	SETTING(purges_kept);
	if (span_eq(span_of(text, len), SPAN_LIT("cluster")))
		cfg->cluster = v != 0;
	if (span_eq(span_of(text, len), SPAN_LIT("password")))
		cfg->password = eq + 1;
	if (span_eq(span_of(text, len), SPAN_LIT("user")))
		cfg->user = eq + 1;
}

static unsigned addresses_split(char *text, const char **out, unsigned most)
{
	char *save = NULL;
	unsigned n = 0;

	for (char *w = strtok_r(text, ",", &save); w != NULL && n < most;
	     w = strtok_r(NULL, ",", &save))
		out[n++] = w;
	return n;
}

int main(int argc, char **argv)
{
	static struct client c;
	const char *addresses[8];
	struct l3_config cfg = {
	        .backend = "redis",
	        .addresses = addresses,
	        .prefix = "t:",
	        .timeout_ms = 500,
	        .connect_ms = 500,
	        .retry_ms = 50,
	        .failures = 5,
	        .in_flight = 1024,
	        .compress_bytes = 1024,
	        .pending_bytes = 64u << 20,
	        .max_object_bytes = 4u << 20,
	        .purges_kept = 10000,
	};
	struct loop_config lc = {.entries = 256};
	struct loop_hook hook = {
	        .poll = round_poll,
	        .prepare_sleep = round_end,
	        .awake = round_begin,
	        .arg = &c,
	};

	if (argc < 2)
		return 2;
	cfg.addresses_count = addresses_split(argv[1], addresses, 8);
	for (int i = 2; i < argc; i++)
		setting(&cfg, argv[i]);
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	http1_init(NULL);
	c.schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	if (c.schedstat < 0 || loop_create(&c.loop, &lc) != ST_OK ||
	    l3_create(&c.l3, c.loop, &cfg) != ST_OK)
		return 1;
	round_begin(&c);
	loop_set_hook(c.loop, &hook);
	l3_watch_purges(c.l3, on_purge, &c);
	c.input = (struct loop_op){.fn = on_input, .arg = &c};
	c.load_timer = (struct loop_timer){.fn = on_load_timer, .arg = &c};
	loop_poll(c.loop, &c.input, STDIN_FILENO, POLLIN, false);
	while (!c.quit)
		loop_once(c.loop, NS_PER_S);
	l3_destroy(c.l3);
	loop_timer_cancel(c.loop, &c.load_timer);
	loop_destroy(c.loop);
	return 0;
}
