/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Runs each file of a folder through tcp_target.h, forwards, backwards, and each twice: what the
 * stack sends must follow from the file alone. Prints what the runs did on average.
 *
 *   tcp_orders FOLDER */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/fuzz/tcp_target.h"

enum {
	MAX_FILES = 65536,
	MAX_BYTES = 1 << 20,
};

struct file {
	char name[256];
	uint8_t *data;
	size_t len;
	struct tally tally;
};

static struct file *files;
static size_t file_count;

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static bool file_read(const char *folder, const char *name)
{
	struct file *f = &files[file_count];
	char path[4096];
	FILE *in;

	snprintf(f->name, sizeof(f->name), "%s", name);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	in = fopen(path, "rb");
	if (in == NULL)
		return false;
	f->data = malloc(MAX_BYTES);
	f->len = f->data == NULL ? 0 : fread(f->data, 1, MAX_BYTES, in);
	fclose(in);
	if (f->data == NULL)
		return false;
	f->data = realloc(f->data, f->len + 1);
	file_count++;
	return f->data != NULL;
}

static bool folder_read(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	bool ok = dir != NULL;

	while (ok && (e = readdir(dir)) != NULL)
		if (e->d_name[0] != '.' && file_count < MAX_FILES)
			ok = file_read(folder, e->d_name);
	if (dir != NULL)
		closedir(dir);
	return ok && file_count > 0;
}

/* 0, or 1 and which file made another run. */
static int run_again(struct file *f, const char *order)
{
	const struct tally *t = target_run(f->data, f->len);

	if (memcmp(&f->tally, t, sizeof(*t)) == 0)
		return 0;
	fprintf(stderr,
	        "%s: %s made another run: %u frames sent and digest %016llx, at first %u and "
	        "%016llx\n",
	        f->name, order, t->sent, (unsigned long long)t->digest, f->tally.sent,
	        (unsigned long long)f->tally.digest);
	return 1;
}

static void report(void)
{
	double n = (double)file_count;
	double bytes = 0;
	struct tally sum = {0};
	double delivered = 0;

	for (size_t i = 0; i < file_count; i++) {
		bytes += (double)files[i].len;
		sum.segments += files[i].tally.segments;
		sum.events += files[i].tally.events;
		sum.sent += files[i].tally.sent;
		delivered += files[i].tally.delivered_bytes;
	}
	printf("%zu inputs, each on average: %.0f bytes, %.1f segments in, %.1f other events, %.1f "
	       "frames out, %.0f bytes read\n",
	       file_count, bytes / n, sum.segments / n, sum.events / n, sum.sent / n,
	       delivered / n);
}

int main(int argc, char **argv)
{
	int wrong = 0;

	files = calloc(MAX_FILES, sizeof(*files));
	if (argc != 2 || files == NULL || !folder_read(argv[1])) {
		fprintf(stderr, "usage: tcp_orders FOLDER (with at least one file)\n");
		return 2;
	}
	qsort(files, file_count, sizeof(*files), by_name);
	for (size_t i = 0; i < file_count; i++)
		files[i].tally = *target_run(files[i].data, files[i].len);
	for (size_t i = file_count; i-- > 0;)
		wrong |= run_again(&files[i], "backwards");
	for (size_t i = 0; i < file_count; i++)
		for (int k = 0; k < 2; k++)
			wrong |= run_again(&files[i], "after itself");
	report();
	for (size_t i = 0; i < file_count; i++)
		free(files[i].data);
	free(files);
	return wrong;
}
