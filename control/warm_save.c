/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The hot list. What the cores answer themselves control does not see, so before each list their
 * tables are walked, a page at a time and with rests, and each entry's note gets the uses that the
 * table remembers. Sorting and writing are a thread's: the disk may take its time. */
#include "control/warm_private.h"

#include "control/cache_rows.h"
#include "control/chan_server.h"
#include "cache/vary.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGE_ROWS 64u
#define PAGES_MAX 4096u            /* of one walk; the next goes on there */
#define REST_NS   (10 * NS_PER_MS) /* between two pages */
#define THREAD_NS (20 * NS_PER_MS) /* between two looks at the thread */
#define COOL_NS   (60 * NS_PER_S)
#define FILE_MODE 0640

const char *warm_save_path(const struct config *cfg, char buf[static 1024])
{
	if (cfg->cache.warm.file != NULL)
		snprintf(buf, 1024, "%s", cfg->cache.warm.file);
	else
		snprintf(buf, 1024, "%s/hot-list", cfg->run_dir);
	return buf;
}

/* --- in the thread --- */

static int hotter(const void *a, const void *b)
{
	const struct warm_picked *x = a, *y = b;

	return (x->heat < y->heat) - (x->heat > y->heat);
}

static void list_make(struct warm_save *s)
{
	const struct span head = SPAN_LIT(WARM_LIST_HEAD);
	size_t room = head.len + WARM_LIST_END_MAX;
	char *at;

	for (uint32_t i = 0; i < s->pick.count; i++)
		room += s->pick.rows[i].len + 1;
	s->list = malloc(room);
	if (s->list == NULL)
		return;
	qsort(s->pick.rows, s->pick.count, sizeof(*s->pick.rows), hotter);
	memcpy(s->list, head.ptr, head.len);
	at = s->list + head.len;
	for (uint32_t i = 0; i < s->pick.count; i++) {
		memcpy(at, s->pick.rows[i].line, s->pick.rows[i].len);
		at += s->pick.rows[i].len;
		*at++ = '\n';
	}
	s->list_len = (size_t)(at - s->list);
	s->list_len += warm_list_end(span_of(s->list, s->list_len), s->pick.count, at);
}

static bool write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

/* The folder's entry is on the disk too. */
static void folder_sync(const char *path)
{
	char folder[1024];
	char *slash;
	int fd;

	snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	if (slash == NULL || slash == folder)
		return;
	*slash = '\0';
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)fsync(fd);
	close(fd);
}

/* Beside the file and then in its place: whoever reads it finds the old list or the new one. */
static bool file_write(struct warm_save *s)
{
	char beside[1040];
	int fd;
	bool ok;

	snprintf(beside, sizeof(beside), "%s.new", s->path);
	(void)unlink(beside);
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
	ok = fd >= 0 && write_all(fd, s->list, s->list_len) && fsync(fd) == 0;
	if (fd >= 0 && close(fd) != 0)
		ok = false;
	ok = ok && rename(beside, s->path) == 0;
	if (ok)
		folder_sync(s->path);
	else if (!s->said)
		log_warn("warm", "cannot write the hot list %s: %s; see cache.warm.file", s->path,
		         strerror(errno));
	s->said = !ok;
	return ok;
}

static void save_work(struct warm_worker *k)
{
	struct warm_save *s = container_of(k, struct warm_save, worker);

	list_make(s);
	s->failed = s->list == NULL || (s->write && !file_write(s));
}

/* --- on the loop --- */

/* The new list is what peers get. */
static void save_end(struct warm *w)
{
	struct warm_save *s = &w->save;
	char *old = NULL;

	w->counts.saves += !s->failed;
	w->counts.save_errors += s->failed;
	w->counts.list_entries = s->pick.count;
	warm_pick_free(&s->pick);
	if (s->list == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	old = s->shared;
	s->shared = s->list;
	s->shared_len = s->list_len;
	s->share = w->ctl->config->cache.warm.share == CONFIG_ON;
	pthread_mutex_unlock(&s->lock);
	s->list = NULL;
	free(old);
}

/* False: there is nothing to be saved. */
static bool save_prepare(struct warm *w)
{
	const struct config *cfg = w->ctl->config;
	struct warm_save *s = &w->save;
	uint64_t now_ns = loop_now_ns(w->ctl->loop);

	warm_notes_pick(w->notes, cfg->cache.warm.entries, &s->pick);
	if (s->pick.rows == NULL) {
		w->counts.save_errors++;
		return false;
	}
	/* One that has not seen anything yet keeps what is there. */
	if (s->pick.count == 0) {
		warm_pick_free(&s->pick);
		return false;
	}
	if (now_ns - s->cooled_ns >= COOL_NS) {
		warm_notes_cool(w->notes);
		s->cooled_ns = now_ns;
	}
	warm_save_path(cfg, s->path);
	s->write = cfg->cache.warm.save_s > 0;
	return true;
}

static void save_next(struct warm *w, uint64_t in_ns)
{
	loop_timer_set(w->ctl->loop, &w->save.timer, loop_now_ns(w->ctl->loop) + in_ns);
}

/* What a reload changes holds from the next list on. */
static uint64_t period_ns(const struct warm *w)
{
	uint32_t save_s = w->ctl->config->cache.warm.save_s;

	return (save_s != 0 ? save_s : 60) * NS_PER_S;
}

static void walk_end(struct warm *w)
{
	w->save.walking = false;
	if (!save_prepare(w)) {
		save_next(w, period_ns(w));
		return;
	}
	if (!warm_worker_start(&w->save.worker, save_work)) {
		warm_pick_free(&w->save.pick);
		w->counts.save_errors++;
		save_next(w, period_ns(w));
		return;
	}
	save_next(w, THREAD_NS);
}

/* Under which the note of a table's entry is: that of the answer itself, also for a form of it. */
static struct span note_key(const struct object *o, char buf[CACHE_KEY_MAX])
{
	struct cache_key base;

	return vary_key_coded(object_key(o), CODING_IDENTITY, 0, buf, &base) ? base.text
	                                                                     : object_key(o);
}

/* A copy of a core's page. */
static void page_take(struct warm *w, struct span bytes)
{
	char text[CACHE_KEY_MAX];
	const struct object *o;

	while (cache_row_next(&bytes, &o))
		if ((o->flags & (OBJECT_VARY | OBJECT_PASS)) == 0)
			(void)warm_notes_use(w->notes, note_key(o, text), o->spare);
}

static void on_page(void *arg, enum status st, const void *bytes, size_t len, uint64_t next)
{
	struct warm *w = arg;
	struct warm_save *s = &w->save;
	bool moved = st == ST_OK && next > s->cursor;
	void *copy = NULL;

	s->asking = false;
	if (st == ST_OK && len > 0)
		copy = malloc(len);
	if (copy != NULL) {
		memcpy(copy, bytes, len);
		page_take(w, span_of(copy, len));
		free(copy);
	}
	s->cursor = moved ? next : 0;
	s->core += !moved;
	save_next(w, REST_NS);
}

static void walk_step(struct warm *w)
{
	struct warm_save *s = &w->save;
	struct chan_server *chan = w->ctl->chan;

	if (!chan_server_attached(chan) || s->core >= chan_server_cores(chan)) {
		s->core = 0;
		s->cursor = 0;
		walk_end(w);
	} else if (s->pages++ >= PAGES_MAX) {
		walk_end(w);
	} else {
		s->asking = true;
		chan_server_query(chan, s->core, CHAN_QUERY_CACHE, s->cursor, PAGE_ROWS,
		                  span_of(NULL, 0), on_page, w);
	}
}

static void on_timer(struct loop_timer *t)
{
	struct warm *w = t->arg;
	struct warm_save *s = &w->save;
	uint64_t generation = chan_server_generation(w->ctl->chan);

	if (s->asking)
		return;
	if (s->worker.running) {
		if (warm_worker_ended(&s->worker)) {
			save_end(w);
			save_next(w, period_ns(w));
		} else {
			save_next(w, THREAD_NS);
		}
		return;
	}
	if (!s->walking || s->generation != generation) {
		if (s->generation != generation) {
			s->core = 0;
			s->cursor = 0;
		}
		s->generation = generation;
		s->walking = true;
		s->pages = 0;
	}
	walk_step(w);
}

void warm_reloaded(struct warm *w)
{
	struct warm_save *s;

	if (w == NULL)
		return;
	s = &w->save;
	pthread_mutex_lock(&s->lock);
	s->share = w->ctl->config->cache.warm.share == CONFIG_ON;
	pthread_mutex_unlock(&s->lock);
}

enum status warm_save_start(struct warm *w)
{
	struct warm_save *s = &w->save;

	if (pthread_mutex_init(&s->lock, NULL) != 0)
		return ST_NOMEM;
	s->cooled_ns = loop_now_ns(w->ctl->loop);
	s->timer = (struct loop_timer){.fn = on_timer, .arg = w};
	save_next(w, period_ns(w));
	return ST_OK;
}

void warm_save_stop(struct warm *w)
{
	struct warm_save *s = &w->save;

	loop_timer_cancel(w->ctl->loop, &s->timer);
	if (s->worker.running) {
		pthread_join(s->worker.thread, NULL);
		s->worker.running = false;
		save_end(w);
	}
	if (w->ctl->config->cache.warm.save_s > 0 && save_prepare(w)) {
		save_work(&s->worker);
		save_end(w);
	}
	free(s->shared);
	pthread_mutex_destroy(&s->lock);
}
