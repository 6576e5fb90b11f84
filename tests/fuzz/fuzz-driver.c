/* SPDX-License-Identifier: MIT */
/*
 * fuzz-driver.c - runs a fuzz target without libFuzzer: its seeds, then mutations of them.
 *
 *     packet_fuzz              all seeds and fuzz_runs mutations, as TAP; FUZZ_RUNS=N: as many instead
 *     packet_fuzz --run N      the N-th mutation alone, in this process: for a debugger
 *     packet_fuzz --seeds DIR  writes the seeds there: a corpus for libFuzzer
 *     packet_fuzz FILE...      these inputs, as libFuzzer leaves them behind
 *
 * The N-th mutation depends on N alone, so a failure comes again. Inputs run in a child, which counts them in shared
 * memory: when it dies, the parent says at which.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define SEEDS_MAX 256u
#define MUTATIONS_MAX 8u

struct input {
	uint8_t bytes[FUZZ_INPUT_MAX];
	size_t len;
};

struct corpus {
	struct input seeds[SEEDS_MAX];
	unsigned n;
};

/* ---- numbers that look random, the same each time ---- */

struct random {
	uint64_t state;
};

static uint64_t next_random(struct random *r)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state;
}

static struct random random_of(uint64_t n)
{
	struct random r = { (n + 1) * UINT64_C(0x9e3779b97f4a7c15) };

	for (unsigned i = 0; i < 4; i++)
		next_random(&r);
	return r;
}

static size_t below(struct random *r, size_t n)
{
	return n ? (size_t)(next_random(r) % n) : 0;
}

/* ---- mutations ---- */

static void insert(struct input *in, size_t at, const uint8_t *bytes, size_t len)
{
	if (len > sizeof in->bytes - in->len)
		len = sizeof in->bytes - in->len;
	memmove(in->bytes + at + len, in->bytes + at, in->len - at);
	memcpy(in->bytes + at, bytes, len);
	in->len += len;
}

static void cut_out(struct input *in, size_t at, size_t len)
{
	if (len > in->len - at)
		len = in->len - at;
	memmove(in->bytes + at, in->bytes + at + len, in->len - at - len);
	in->len -= len;
}

static void mutate(struct input *in, const struct corpus *corpus, struct random *r)
{
	static const uint8_t edges[] = { 0, 1, 2, 3, 4, 7, 8, 0x3f, 0x40, 0x7f, 0x80, 0xc0, 0xfe, 0xff };
	const size_t at = below(r, in->len);
	const struct input *other;
	uint8_t bytes[64];
	size_t from;

	switch (below(r, 9)) {
	case 0:
		if (in->len)
			in->bytes[at] ^= (uint8_t)(1u << below(r, 8));
		break;
	case 1:
		if (in->len)
			in->bytes[at] = edges[below(r, sizeof edges)];
		break;
	case 2:
		if (in->len)
			in->bytes[at] = (uint8_t)next_random(r);
		break;
	case 3: /* a length that is off by a little */
		if (in->len)
			in->bytes[at] = (uint8_t)(in->bytes[at] + below(r, 9) - 4);
		break;
	case 4:
		in->len = at;
		break;
	case 5:
		cut_out(in, at, 1 + below(r, 16));
		break;
	case 6:
		for (size_t i = 0; i < sizeof bytes; i++)
			bytes[i] = (uint8_t)next_random(r);
		insert(in, at, bytes, 1 + below(r, sizeof bytes));
		break;
	case 7: /* says the same again */
		from = below(r, in->len);
		memcpy(bytes, in->bytes + from, in->len - from < sizeof bytes ? in->len - from : sizeof bytes);
		insert(in, at, bytes, in->len - from < sizeof bytes ? in->len - from : 1 + below(r, sizeof bytes));
		break;
	default: /* goes on as another one does */
		other = &corpus->seeds[below(r, corpus->n)];
		from = below(r, other->len);
		in->len = at;
		insert(in, at, other->bytes + from, other->len - from);
		break;
	}
}

/* ---- running ---- */

static void run_one(const uint8_t *bytes, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);

	if (!exact)
		abort();
	memcpy(exact, bytes, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
}

static void run_mutation(const struct corpus *corpus, unsigned n)
{
	struct random r = random_of(n);
	struct input in = corpus->seeds[below(&r, corpus->n)];

	/* Mostly few: one change gets further than many. */
	for (size_t times = 1 + below(&r, 1 + below(&r, MUTATIONS_MAX)); times > 0; times--)
		mutate(&in, corpus, &r);
	run_one(in.bytes, in.len);
}

static int run_file(const char *path)
{
	static uint8_t bytes[1u << 20];
	FILE *file = fopen(path, "rb");
	size_t len;

	if (!file) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	len = fread(bytes, 1, sizeof bytes, file);
	fclose(file);
	run_one(bytes, len);
	return 0;
}

static int write_seeds(const struct corpus *corpus, const char *folder)
{
	char path[4096];

	mkdir(folder, 0777);
	for (unsigned i = 0; i < corpus->n; i++) {
		FILE *file;

		snprintf(path, sizeof path, "%s/seed-%u", folder, i);
		file = fopen(path, "wb");
		if (!file || fwrite(corpus->seeds[i].bytes, 1, corpus->seeds[i].len, file) != corpus->seeds[i].len ||
		    fclose(file) != 0) {
			fprintf(stderr, "%s: %s\n", path, strerror(errno));
			return 1;
		}
	}
	return 0;
}

/* In a child: seeds, or mutations. Says on standard output what a TAP reader wants to know. */
static int run_all(const struct corpus *corpus, unsigned test, const char *what, unsigned runs, volatile unsigned *done)
{
	int status = 0;
	pid_t child;

	*done = 0;
	fflush(NULL);
	child = fork();
	if (child == 0) {
		for (; *done < runs; ++*done) {
			if (test == 1)
				run_one(corpus->seeds[*done].bytes, corpus->seeds[*done].len);
			else
				run_mutation(corpus, *done);
		}
		exit(0); /* not _exit(): leaks are looked for */
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		status = -1;
	printf("%s %u - %u %s\n", status == 0 ? "ok" : "not ok", test, runs, what);
	if (status != 0)
		printf("# died at number %u (status %#x)%s\n", *done, (unsigned)status,
		       test == 1 ? "" : "; the same again: --run with that number");
	return status != 0;
}

int main(int argc, char **argv)
{
	static struct corpus corpus;
	const char *wanted = getenv("FUZZ_RUNS");
	const unsigned runs = wanted ? (unsigned)strtoul(wanted, NULL, 10) : fuzz_runs;
	volatile unsigned *done;
	int failed = 0;

	while (corpus.n < SEEDS_MAX &&
	       (corpus.seeds[corpus.n].len = fuzz_seed(corpus.n, corpus.seeds[corpus.n].bytes)) > 0)
		corpus.n++;
	if (argc == 3 && strcmp(argv[1], "--run") == 0) {
		run_mutation(&corpus, (unsigned)strtoul(argv[2], NULL, 10));
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "--seeds") == 0)
		return write_seeds(&corpus, argv[2]);
	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			failed |= run_file(argv[i]);
		return failed;
	}
	done = mmap(NULL, sizeof *done, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (done == MAP_FAILED) {
		printf("Bail out! mmap: %s\n", strerror(errno));
		return 1;
	}
	printf("1..2\n");
	failed |= run_all(&corpus, 1, "honest inputs do no harm", corpus.n, done);
	failed |= run_all(&corpus, 2, "mutations of them neither", runs, done);
	return failed;
}
