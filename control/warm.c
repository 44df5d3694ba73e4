/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/warm_private.h"

#include "control/chan_link.h"
#include "lib/log.h"

#include "cache/vary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- workers --- */

static void *worker_main(void *arg)
{
	struct warm_worker *k = arg;

	k->work(k);
	atomic_store_explicit(&k->ended, true, memory_order_release);
	return NULL;
}

bool warm_worker_start(struct warm_worker *k, void (*work)(struct warm_worker *k))
{
	k->work = work;
	atomic_store(&k->ended, false);
	k->running = pthread_create(&k->thread, NULL, worker_main, k) == 0;
	return k->running;
}

bool warm_worker_ended(struct warm_worker *k)
{
	if (!k->running || !atomic_load_explicit(&k->ended, memory_order_acquire))
		return false;
	pthread_join(k->thread, NULL);
	k->running = false;
	return true;
}

/* --- what clients ask for --- */

void warm_note_asked(struct warm *w, struct span key)
{
	if (w != NULL && key.len > 0)
		(void)warm_notes_use(w->notes, key, 1);
}

void warm_note_stored(struct warm *w, const struct request *r, const struct store_entry *e)
{
	const struct object *o = e->head;
	struct span key = object_key(o);
	struct span first = vary_primary(key);
	struct store_entry *list = NULL;
	char line[WARM_LINE_MAX];
	size_t len;
	bool stale;

	if (w == NULL || o->status >= 400 || (o->flags & (OBJECT_PASS | OBJECT_VARY)) != 0 ||
	    warm_notes_use(w->notes, key, 0))
		return;
	if (first.len < key.len)
		list = store_peek(fetcher_store(w->ctl->fetcher), first, &stale);
	if ((first.len == key.len || list != NULL) &&
	    warm_line_of(w->ctl->snapshot, link_hash_seed(w->ctl->chan), r, key,
	                 list != NULL ? list->head : NULL, line, &len))
		warm_notes_put(w->notes, key, span_of(line, len));
	if (list != NULL)
		store_drop(list);
}

/* --- the start --- */

/* All of a file; NULL: *wrong says why, or (NULL too) there is none. */
static char *file_read(const char *path, uint64_t most, size_t *len, const char **wrong)
{
	FILE *f = fopen(path, "rbe");
	char *text = NULL;
	long end;

	*wrong = NULL;
	if (f == NULL) {
		if (errno != ENOENT)
			*wrong = strerror(errno);
		return NULL;
	}
	end = fseek(f, 0, SEEK_END) == 0 ? ftell(f) : -1;
	rewind(f);
	if (end < 0)
		*wrong = "it is no file";
	else if ((uint64_t)end > most)
		*wrong = "it is longer than cache.warm.peer_bytes";
	else
		text = malloc((size_t)end + 1);
	if (text != NULL)
		*len = fread(text, 1, (size_t)end, f);
	fclose(f);
	return text;
}

/* The node's own list, as it was when the process before this one ended. */
static void start_read(struct warm *w)
{
	const struct config *cfg = w->ctl->config;
	const char *wrong;
	char path[1024];
	size_t len;
	char *text = file_read(warm_save_path(cfg, path), cfg->cache.warm.peer_bytes, &len, &wrong);

	if (text != NULL)
		wrong = warm_list_take(&w->start_list, text, len);
	if (wrong != NULL)
		log_warn("warm", "%s: %s; nothing is warmed from it", path, wrong);
}

/* The next list of the start: the node's own, then the peers', one after the other until one of
 * them has a list. False: there is none left. */
static bool start_next(struct warm *w)
{
	const struct config_warm *cfg = &w->ctl->config->cache.warm;
	struct warm_job_new how = {.source = WARM_SAVED};
	char path[1024];

	if (w->start_list.text != NULL) {
		how.name = warm_save_path(w->ctl->config, path);
		if (warm_job_start(w, &how, &w->start_job) != ST_OK)
			return false;
		warm_job_list(warm_job_get(w, w->start_job), &w->start_list);
		return true;
	}
	if (w->start_peer >= cfg->peers_count)
		return false;
	how.source = WARM_PEER;
	how.name = cfg->peers[w->start_peer];
	how.peer = how.name;
	w->start_peer++;
	if (warm_job_start(w, &how, &w->start_job) != ST_OK)
		w->start_job = 0;
	return true;
}

void warm_start_look(struct warm *w)
{
	const struct warm_job *j = warm_job_get(w, w->start_job);

	if (!w->starting || !chan_server_attached(w->ctl->chan))
		return;
	if (j != NULL && j->ended_ns == 0)
		return;
	/* A peer's list has come: the others' would say the same. */
	if (j != NULL && j->source == WARM_PEER && j->trouble[0] == '\0')
		w->starting = false;
	else
		w->starting = start_next(w);
}

enum status warm_start(struct control *ctl, struct warm **out)
{
	const struct config_warm *cfg = &ctl->config->cache.warm;
	struct warm *w = calloc(1, sizeof(*w));
	enum status st;

	if (w == NULL)
		return ST_NOMEM;
	w->ctl = ctl;
	w->timer = (struct loop_timer){.fn = warm_jobs_run, .arg = w};
	st = warm_notes_create(cfg->notes_bytes, &w->notes);
	if (st == ST_OK)
		st = warm_save_start(w);
	if (st != ST_OK) {
		warm_notes_destroy(w->notes);
		free(w);
		return st;
	}
	if (cfg->on_start == CONFIG_ON && fetcher_store(ctl->fetcher) == NULL)
		log_warn("warm", "the node has no store to warm; set memory.store_bytes, or "
		                 "cache.warm.on_start to off");
	else if (cfg->on_start == CONFIG_ON) {
		start_read(w);
		w->starting = true;
		warm_kick(w);
	}
	*out = w;
	return ST_OK;
}

void warm_stop(struct warm *w)
{
	if (w == NULL)
		return;
	loop_timer_cancel(w->ctl->loop, &w->timer);
	w->running = true; /* nothing begins any more */
	warm_peer_stop(w);
	warm_save_stop(w);
	warm_jobs_free(w);
	warm_notes_destroy(w->notes);
	free(w->start_list.text);
	free(w);
}

/* --- reports --- */

static void report(const struct warm_job *j, struct warm_job_report *out)
{
	uint64_t end_ns = j->ended_ns != 0 ? j->ended_ns : loop_now_ns(j->w->ctl->loop);

	*out = (struct warm_job_report){
	        .id = j->id,
	        .source = j->source,
	        .limits = j->budget.limits,
	        .asked = j->asked,
	        .waiting = j->waiting,
	        .active = j->budget.active,
	        .bytes = j->budget.bytes,
	        .ms = (end_ns - j->started_ns) / NS_PER_MS,
	        .ended = j->ended_ns != 0,
	};
	memcpy(out->name, j->name, sizeof(out->name));
	memcpy(out->trouble, j->trouble, sizeof(out->trouble));
	memcpy(out->results, j->results, sizeof(out->results));
}

bool warm_job_find(const struct warm *w, uint32_t id, struct warm_job_report *out)
{
	const struct warm_job *j = warm_job_get(w, id);

	if (j != NULL)
		report(j, out);
	return j != NULL;
}

bool warm_job_at(const struct warm *w, uint32_t index, struct warm_job_report *out)
{
	for (uint32_t id = w->job_seq; id > 0; id--) {
		const struct warm_job *j = warm_job_get(w, id);

		if (j == NULL || index-- > 0)
			continue;
		report(j, out);
		return true;
	}
	return false;
}

void warm_counts(const struct warm *w, struct warm_counts *out)
{
	struct warm_notes_counts notes;

	*out = (struct warm_counts){0};
	if (w == NULL)
		return;
	*out = w->counts;
	warm_notes_counts(w->notes, &notes);
	out->notes = notes.entries;
	out->notes_bytes = notes.bytes;
	out->notes_evicted = notes.evicted;
	out->list_served = atomic_load(&w->served);
}

char *warm_list_copy(struct warm *w, size_t *len)
{
	struct warm_save *s = &w->save;
	char *copy = NULL;

	pthread_mutex_lock(&s->lock);
	if (s->share && s->shared != NULL)
		copy = malloc(s->shared_len + 1);
	if (copy != NULL) {
		memcpy(copy, s->shared, s->shared_len);
		*len = s->shared_len;
	}
	pthread_mutex_unlock(&s->lock);
	if (copy != NULL)
		atomic_fetch_add(&w->served, 1);
	return copy;
}
