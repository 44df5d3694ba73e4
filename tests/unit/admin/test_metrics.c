/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The metrics page against tests/e2e/check_metrics.py (argument 1: python3, 2: the checker), which
 * must also find fault with pages that are wrong; and the HTTP server. */
#include "control/metrics/metrics_page.h"
#include "control/metrics/prometheus.h"
#include "lib/clock.h"
#include "tests/unit/admin/fake_control.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEADLINE_MS = 5000, ROOM = 1 << 20 };

static const char *python;
static const char *checker;

struct fixture {
	char *dir;
	struct control *ctl;
	struct metrics *metrics;
	char *text; /* ROOM bytes */
};

/* A port that nobody has now. */
static uint16_t port_find(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	close(fd);
	return ntohs(addr.sin_port);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->dir = fake_dir_make();
	f->ctl = fake_control_create(f->dir, port_find());
	f->text = malloc(ROOM);
	struct core_stats *s = f->ctl->chan->stats;

	for (uint32_t i = 0; i < CTR_COUNT; i++)
		s[1].counters.v[i] = i;
	s[1].stages.stage[STAGE_tx] = (struct stage_stats){
	        .calls = 3,
	        .items = 70,
	        .timed_items = 10,
	        .timed_cycles = 900,
	        .peak_cycles = 400,
	        .last_peak_cycles = 500,
	};
	s[1].stages.stage[STAGE_rx].items = 34;
	s[1].stages.burst[0] = 2;
	s[1].stages.burst[5] = 1;
	for (uint64_t ns = 1; ns < 1ull << 41; ns = ns * 3 + 1)
		hist_add(&s[0].hit, ns);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	metrics_stop(f->metrics);
	fake_control_destroy(f->ctl);
	fake_dir_remove(f->dir);
	free(f->text);
	free(f);
	return 0;
}

/* 0: the checker found no fault. */
static int check(const char *text)
{
	char command[512];

	snprintf(command, sizeof(command), "%s %s - > /dev/null", python, checker);
	FILE *pipe = popen(command, "w");

	assert_non_null(pipe);
	fputs(text, pipe);
	return pclose(pipe);
}

/* Into f->text. */
static void page_make(struct fixture *f)
{
	struct text_page page = {0};
	struct metrics_view view;
	struct summary s;

	assert_int_equal(metrics_view_read(f->ctl, &view), ST_OK);
	assert_int_equal(summary_collect(&s, f->ctl->chan, view.cores), ST_OK);
	metrics_page(&page, &view, &s);
	assert_false(page.failed);
	assert_true(page.len < ROOM);
	memcpy(f->text, page.text, page.len + 1);
	free(page.text);
	summary_free(&s);
	metrics_view_free(&view);
}

static void expect_line(const struct fixture *f, const char *line)
{
	if (!strstr(f->text, line))
		fail_msg("not in the page: %s", line);
}

static void test_page(void **state)
{
	static const char *const lines[] = {
	        "\nsluice_up{process=\"dataplane\"} 1\n",
	        "# TYPE http_requests_total counter\n",
	        "# TYPE sluice_tcp_connections gauge\n",
	        "# TYPE sluice_cache_objects gauge\n",
	        "# TYPE sluice_cache_bytes gauge\n",
	        "# TYPE http_request_duration_ms histogram\n",
	        "\nhttp_requests_total{core=\"0\"} 0\n",
	        "\nsluice_drops_total{core=\"0\",reason=\"runt\"} 0\n",
	        "\nsluice_shed_total{core=\"0\",reason=\"draining\"} 0\n",
	        "\ncache_requests_total{core=\"0\",tier=\"hot\",result=\"hit\"} 0\n",
	        "\nsluice_fetch_store_hits_total 7\n",
	        "\nsluice_fetch_origin_total 42\n",
	        "\nsluice_store_limit_bytes 0\n",
	        "\nsluice_upstream_requests_total{upstream=\"api\",address=\"127.0.0.1:8080\"} "
	        "1000\n",
	        "{upstream=\"od\\\"d\\\\name\",address=\"[::1]:8081\"} 5\n",
	        "\nsluice_build_info{version=\"" SLUICE_VERSION "\"} 1\n",
	        "\nhttp_request_duration_ms_count{core=\"0\",result=\"miss\"} 0\n",
	        "# TYPE sluice_stage_items_total counter\n",
	        "\nsluice_stage_calls_total{core=\"0\",stage=\"tx\"} 0\n",
	        "\nsluice_stage_calls_total{core=\"1\",stage=\"tx\"} 3\n",
	        "\nsluice_stage_items_total{core=\"1\",stage=\"tx\"} 70\n",
	        "\nsluice_stage_timed_items_total{core=\"1\",stage=\"tx\"} 10\n",
	        "\nsluice_stage_timed_cycles_total{core=\"1\",stage=\"tx\"} 900\n",
	        "\nsluice_stage_max_cycles{core=\"1\",stage=\"tx\"} 500\n",
	        "# TYPE sluice_rx_burst_packets histogram\n",
	        "\nsluice_rx_burst_packets_bucket{core=\"1\",le=\"1\"} 2\n",
	        "\nsluice_rx_burst_packets_bucket{core=\"1\",le=\"31\"} 2\n",
	        "\nsluice_rx_burst_packets_bucket{core=\"1\",le=\"+Inf\"} 3\n",
	        "\nsluice_rx_burst_packets_sum{core=\"1\"} 34\n",
	        "\nsluice_rx_burst_packets_count{core=\"1\"} 3\n",
	};
	struct fixture *f = *state;
	char line[128];

	page_make(f);
	for (uint32_t i = 0; i < ARRAY_LEN(lines); i++)
		expect_line(f, lines[i]);
	snprintf(line, sizeof(line), "\nhttp_requests_total{core=\"1\"} %d\n", CTR_http_requests);
	expect_line(f, line);
	assert_int_equal(check(f->text), 0);
}

/* Each counter of counters.def has a sample for each core. */
static void test_page_whole(void **state)
{
	struct fixture *f = *state;
	char line[256];

	page_make(f);
	for (uint32_t i = 0; i < CTR_COUNT; i++) {
		snprintf(line, sizeof(line), "\n%s{core=\"1\"%s%s} %u\n", counter_infos[i].metric,
		         *counter_infos[i].labels ? "," : "", counter_infos[i].labels, i);
		expect_line(f, line);
	}
}

/* Bounds are those of the histogram's own buckets, so the counts are exact. */
static void test_buckets_exact(void **state)
{
	struct fixture *f = *state;
	struct hist *h = &f->ctl->chan->stats[0].miss;

	hist_add(h, 1023); /* the largest of le 0.001023 */
	hist_add(h, 1024); /* the next */
	hist_add(h, 1535);
	hist_add(h, 1ull << 39); /* beyond the last bound */
	page_make(f);
	expect_line(f, "_bucket{core=\"0\",result=\"miss\",le=\"0.001023\"} 1\n");
	expect_line(f, "_bucket{core=\"0\",result=\"miss\",le=\"0.001535\"} 3\n");
	expect_line(f, "_bucket{core=\"0\",result=\"miss\",le=\"68719.476735\"} 3\n");
	expect_line(f, "_bucket{core=\"0\",result=\"miss\",le=\"+Inf\"} 4\n");
	expect_line(f, "_count{core=\"0\",result=\"miss\"} 4\n");
	assert_int_equal(check(f->text), 0);
}

static void test_page_detached(void **state)
{
	struct fixture *f = *state;

	f->ctl->chan->attached = false;
	page_make(f);
	expect_line(f, "\nsluice_up{process=\"dataplane\"} 0\n");
	assert_null(strstr(f->text, "core=\""));
	assert_int_equal(check(f->text), 0);
}

#define HIST_HEAD "# HELP h x\n# TYPE h histogram\n"

static void test_checker(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
	        {"# HELP a_total x\n# TYPE a_total counter\na_total 1\n", true},
	        {"# HELP a x\n# TYPE a gauge\na{l=\"\\\\\\\"\\n,}\"} -1.5e3\n", true},
	        {HIST_HEAD "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
	         true},
	        {"", false},
	        {"# HELP a x\n# TYPE a gauge\na 1", false},
	        {"a 1\n", false},
	        {"# TYPE a gauge\na 1\n", false},
	        {"# HELP a x\na 1\n", false},
	        {"# HELP a x\n# HELP a x\n# TYPE a gauge\na 1\n", false},
	        {"# HELP a x\n# TYPE a gauge\n# TYPE a gauge\na 1\n", false},
	        {"# HELP a x\n# TYPE a gauge\na 1\na 1\n", false},
	        {"# HELP a x\n# TYPE a gauge\na 1\n# HELP b x\n# TYPE b gauge\nb 1\na{l=\"1\"} 1\n",
	         false},
	        {"# HELP a x\n# TYPE a counter\na 1\n", false},
	        {"# HELP a_total x\n# TYPE a_total counter\na_total -1\n", false},
	        {"# HELP a-b x\n# TYPE a-b gauge\na-b 1\n", false},
	        {"# HELP a x\n# TYPE a gauge\na{l=1} 1\n", false},
	        {"# HELP a x\n# TYPE a gauge\na{l=\"1\",} 1\n", false},
	        {"# HELP a x\n# TYPE a gauge\na{l=\"1\",l=\"2\"} 1\n", false},
	        {"# HELP a x\n# TYPE a gauge\na{l=\"\"\"} 1\n", false},
	        {"# HELP a x\n# TYPE a gauge\na one\n", false},
	        {"# HELP a x\n# TYPE a thing\na 1\n", false},
	        {HIST_HEAD "h_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
	         false},
	        {HIST_HEAD "h_bucket{le=\"1\"} 1\nh_sum 3\nh_count 1\n", false},
	        {HIST_HEAD "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 3\n",
	         false},
	        {HIST_HEAD "h_bucket{le=\"2\"} 1\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\n"
	                   "h_sum 3\nh_count 2\n",
	         false},
	        {HIST_HEAD "h_bucket{le=\"+Inf\"} 2\nh_count 2\n", false},
	};

	(void)state;
	for (uint32_t i = 0; i < ARRAY_LEN(cases); i++)
		if ((check(cases[i].text) == 0) != cases[i].good)
			fail_msg("case %u: %s", i, cases[i].text);
}

static void start(struct fixture *f)
{
	assert_int_equal(metrics_start(f->ctl, &f->metrics), ST_OK);
	assert_non_null(f->metrics);
}

/* The whole answer into f->text; the loop runs meanwhile. */
static void http_ask(struct fixture *f, const char *method, const char *path)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
	                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	                           .sin_port = htons(f->ctl->config->admin.metrics_port)};
	uint64_t deadline_ns = clock_mono_ns() + DEADLINE_MS * NS_PER_MS;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t len = 0;

	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	dprintf(fd, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", method, path);
	for (;;) {
		ssize_t n = recv(fd, f->text + len, ROOM - 1 - len, MSG_DONTWAIT);

		if (n == 0)
			break;
		if (n > 0)
			len += (size_t)n;
		else
			assert_int_equal(errno, EAGAIN);
		assert_true(clock_mono_ns() < deadline_ns);
		loop_once(f->ctl->loop, NS_PER_MS);
	}
	f->text[len] = '\0';
	close(fd);
}

static void expect_status(const struct fixture *f, const char *status)
{
	char line[64];

	snprintf(line, sizeof(line), "HTTP/1.1 %s ", status);
	assert_memory_equal(f->text, line, strlen(line));
}

static void test_http(void **state)
{
	struct fixture *f = *state;

	start(f);
	http_ask(f, "GET", "/metrics");
	expect_status(f, "200");
	expect_line(f, "text/plain; version=0.0.4");
	assert_int_equal(check(strstr(f->text, "\r\n\r\n") + 4), 0);
	http_ask(f, "GET", "/healthz");
	expect_status(f, "200");
	http_ask(f, "GET", "/nothing");
	expect_status(f, "404");
	http_ask(f, "POST", "/metrics");
	expect_status(f, "405");
	expect_line(f, "Allow: GET, HEAD");
	http_ask(f, "HEAD", "/metrics");
	expect_status(f, "200");
	assert_null(strstr(f->text, "# HELP"));
}

static void test_summary(void **state)
{
	struct fixture *f = *state;
	struct counters *c = &f->ctl->chan->stats[1].counters;

	memset(c, 0, sizeof(*c));
	c->v[CTR_http_requests] = 1000;
	c->v[CTR_http_errors] = 5;
	c->v[CTR_cache_hit] = 3;
	c->v[CTR_cache_miss] = 1;
	start(f);
	http_ask(f, "GET", "/metrics.json");
	expect_status(f, "200");
	expect_line(f, "application/json");
	json_t *r = json_loads(strstr(f->text, "\r\n\r\n"), 0, NULL);

	assert_non_null(r);
	assert_true(json_is_true(json_object_get(r, "up")));
	assert_int_equal(json_integer_value(json_object_get(r, "requests_total")), 1000);
	assert_float_equal(json_number_value(json_object_get(r, "error_ratio")), 0.005, 1e-9);
	json_t *cache = json_object_get(r, "cache");

	assert_float_equal(json_number_value(json_object_get(cache, "hit_ratio")), 0.75, 1e-9);
	json_decref(r);
}

/* The loop's timer brings news within its period. */
static void ready_until(struct fixture *f, const char *status)
{
	uint64_t deadline_ns = clock_mono_ns() + DEADLINE_MS * NS_PER_MS;

	do {
		http_ask(f, "GET", "/readyz");
		assert_true(clock_mono_ns() < deadline_ns);
	} while (strncmp(f->text + strlen("HTTP/1.1 "), status, 3) != 0);
}

static void test_ready(void **state)
{
	struct fixture *f = *state;

	f->ctl->chan->attached = false;
	start(f);
	http_ask(f, "GET", "/readyz");
	expect_status(f, "503");
	http_ask(f, "GET", "/healthz");
	expect_status(f, "200");
	f->ctl->chan->attached = true;
	ready_until(f, "200");
	f->ctl->draining = true;
	ready_until(f, "503");
	f->ctl->draining = false;
	ready_until(f, "200");
	metrics_drained(f->metrics, chan_server_generation(f->ctl->chan));
	http_ask(f, "GET", "/readyz");
	expect_status(f, "503");
	metrics_drained(f->metrics, 0);
	http_ask(f, "GET", "/readyz");
	expect_status(f, "200");
	metrics_drained(f->metrics, 1); /* another dataplane than the one that is attached */
	http_ask(f, "GET", "/readyz");
	expect_status(f, "200");
	/* The view is older than the channel: the page must not say that it is up. */
	f->ctl->chan->attached = false;
	http_ask(f, "GET", "/metrics");
	expect_line(f, "\nsluice_up{process=\"dataplane\"} 0\n");
}

/* The cores of a dataplane show as soon as it is attached, not a timer's period later. */
static void test_attached(void **state)
{
	struct fixture *f = *state;
	struct chan_server *chan = f->ctl->chan;

	chan->attached = false;
	start(f);
	assert_non_null(chan->watcher);
	chan->attached = true;
	chan->watcher(chan->watcher_arg);
	http_ask(f, "GET", "/metrics");
	expect_line(f, "\nsluice_up{process=\"dataplane\"} 1\n");
	metrics_stop(f->metrics);
	f->metrics = NULL;
	assert_null(chan->watcher);
}

static void test_off_and_taken(void **state)
{
	struct fixture *f = *state;
	struct metrics *second = NULL;
	uint16_t port = f->ctl->config->admin.metrics_port;

	start(f);
	f->ctl->config->admin.metrics_port = 0;
	assert_int_equal(metrics_start(f->ctl, &second), ST_OK);
	assert_null(second);
	f->ctl->config->admin.metrics_port = port;
	free(f->ctl->config->admin.metrics_address);
	f->ctl->config->admin.metrics_address = strdup("nowhere");
	assert_int_equal(metrics_start(f->ctl, &second), ST_INVALID);
	assert_null(second);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_page),
	        TEST(test_page_whole),
	        TEST(test_buckets_exact),
	        TEST(test_page_detached),
	        cmocka_unit_test(test_checker),
	        TEST(test_http),
	        TEST(test_summary),
	        TEST(test_ready),
	        TEST(test_attached),
	        TEST(test_off_and_taken),
	};

	if (argc != 3) {
		fprintf(stderr, "usage: %s PYTHON CHECKER\n", argv[0]);
		return 2;
	}
	python = argv[1];
	checker = argv[2];
	return cmocka_run_group_tests(tests, NULL, NULL);
}
