/* SPDX-License-Identifier: MIT */
/*
 * fs-ring.c - virtio-fs without a guest: one stream of FUSE requests, driven through capsa's plugin in this process and
 * through virtiofsd by vhost-user; prints requests a second and CPU time of both, in turns, as tables of medians.
 *
 *     make -C build all tests/bench/fs-ring && CAPSA_BUILD=build build/tests/bench/fs-ring [OPTION...] [ROW...]
 *
 * CAPSA_BUILD is the folder that the plugin was built in (default: the one that this program lies in).
 *
 * It needs no KVM, so it runs on any machine; virtiofsd wants root for its sandbox.
 *
 * WHAT IS MEASURED. Ring, transport, server and the host's file system: all but the guest. The driver's end is the
 * same code for every side (ring-queue.c, ring-fuse.c): split rings of QUEUE_SIZE with EVENT_IDX and INDIRECT where
 * the server offers them (both do), the same descriptors, the same bytes, checked as they come. WAITING IS THE SAME
 * TOO: nobody spins; the bench sleeps in poll(2) on the eventfds that the device calls, and the device is told by
 * eventfds as KVM would do it. So every request at depth 1 has two wake-ups in it on each side, and at depth 16
 * whatever the server saves by looking again before it sleeps.
 *
 * The guests' memory is what each gets: a memfd for virtiofsd, which another process must map, private memory for
 * capsa. CPU is that of the server: all threads of virtiofsd, and for capsa this process' without the bench's own
 * thread. Each side has run a row once before it counts; files are in the host's page cache.
 *
 * QEMU's virtiofsd has one request queue and ends when it gets more, so more than one is capsa's alone.
 */
#include <err.h>
#include <errno.h>
#include <ftw.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bench/ring-fuse.h"

#define SIDES_MAX 12u
#define RUNS_MAX 99u
#define GOAL 1.5

struct row {
	const char *name, *title;
	unsigned rounds; /* before --scale */
	struct step before[4], script[28], after[4];
};

/* clang-format off */
/* What goes before and after: a node, an open file. */
#define KNOWN(thing) { { LOOKUP, thing, 0 } }
#define FORGOTTEN(thing) { { FORGET, thing, 0 } }
#define OPENED(thing) { { LOOKUP, thing, 0 }, { OPEN, thing, 0 } }
#define CLOSED(thing) { { RELEASE, thing, 0 }, { FORGET, thing, 0 } }

static const struct row rows[] = {
	{ "getattr", "GETATTR", 20000, KNOWN(BIG), { { GETATTR, BIG, 0 } }, FORGOTTEN(BIG) },
	{ "lookup", "LOOKUP + FORGET", 20000, KNOWN(FOLDER),
	  { { LOOKUP, SMALL, 0 }, { FORGET, SMALL, 0 } }, FORGOTTEN(FOLDER) },
	{ "open", "OPEN + FLUSH + RELEASE", 8000, KNOWN(BIG),
	  { { OPEN, BIG, 0 }, { FLUSH, BIG, 0 }, { RELEASE, BIG, 0 } }, FORGOTTEN(BIG) },
	{ "read-4k", "READ of 4 KiB", 20000, OPENED(BIG), { { READ, BIG, 4 << 10 } }, CLOSED(BIG) },
	{ "read-128k", "READ of 128 KiB", 8000, OPENED(BIG), { { READ, BIG, 128 << 10 } }, CLOSED(BIG) },
	{ "read-1m", "READ of 1 MiB", 1500, OPENED(BIG), { { READ, BIG, 1 << 20 } }, CLOSED(BIG) },
	{ "write-4k", "WRITE of 4 KiB", 20000, OPENED(OWN), { { WRITE, OWN, 4 << 10 } }, CLOSED(OWN) },
	{ "write-1m", "WRITE of 1 MiB", 1000, OPENED(OWN), { { WRITE, OWN, 1 << 20 } }, CLOSED(OWN) },
	{ "readdirplus", "OPENDIR + READDIRPLUS of 256 files + RELEASEDIR + FORGETs", 120, KNOWN(FOLDER),
	  { { OPENDIR, FOLDER, 0 }, { READDIRPLUS, FOLDER, 0 }, { RELEASEDIR, FOLDER, 0 } }, FORGOTTEN(FOLDER) },
	{ "create", "CREATE + FLUSH + RELEASE + UNLINK + FORGET", 4000, KNOWN(WORK),
	  { { CREATE, MADE, 0 }, { FLUSH, MADE, 0 }, { RELEASE, MADE, 0 }, { UNLINK, MADE, 0 }, { FORGET, MADE, 0 } },
	  FORGOTTEN(WORK) },
	{ "mixed", "all but READDIRPLUS, in turns", 400, { { LOOKUP, FOLDER, 0 }, { LOOKUP, WORK, 0 } },
	  { { LOOKUP, SMALL, 0 }, { GETATTR, SMALL, 0 }, { OPEN, SMALL, 0 }, { FLUSH, SMALL, 0 }, { RELEASE, SMALL, 0 },
	    { LOOKUP, BIG, 0 }, { OPEN, BIG, 0 }, { READ, BIG, 4 << 10 }, { READ, BIG, 128 << 10 }, { READ, BIG, 1 << 20 },
	    { FLUSH, BIG, 0 }, { RELEASE, BIG, 0 }, { FORGET, BIG, 0 }, { CREATE, MADE, 0 }, { WRITE, MADE, 4 << 10 },
	    { WRITE, MADE, 128 << 10 }, { FLUSH, MADE, 0 }, { RELEASE, MADE, 0 }, { OPENDIR, WORK, 0 },
	    { RELEASEDIR, WORK, 0 }, { UNLINK, MADE, 0 }, { FORGET, MADE, 0 }, { FORGET, SMALL, 0 } },
	  { { FORGET, FOLDER, 0 }, { FORGET, WORK, 0 } } },
};
/* clang-format on */

#define N_ROWS (sizeof rows / sizeof rows[0])

struct contender {
	struct side *side;
	struct stream *stream;
	struct work works[RUNS_MAX];
};

struct bench {
	struct contender contenders[SIDES_MAX];
	unsigned n;
	unsigned runs, scale; /* percent */
	unsigned depths[4], n_depths;
	unsigned queues;
	enum placement { ONE, APART, FREE } placement;
	const char *cache, *folder;
	const char *programs[4];
	unsigned n_programs;
	bool alone;
};

/* ---- tables ---- */

struct summary {
	double seconds, requests, per_second, least, most, mib, cpu_request, cpu_gib, own; /* CPU: us a request */
};

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
	qsort(values, n, sizeof *values, compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static struct summary summarize(const struct contender *contender, unsigned runs)
{
	double rate[RUNS_MAX], cpu[RUNS_MAX], own[RUNS_MAX];
	const struct work *first = &contender->works[0];
	const double bytes_per_request = (double)first->bytes / (double)first->requests;
	struct summary summary;

	for (unsigned i = 0; i < runs; i++) {
		const struct work *work = &contender->works[i];

		rate[i] = (double)work->requests * 1e9 / (double)work->ns;
		cpu[i] = (double)work->cpu_ns / 1e3 / (double)work->requests;
		own[i] = (double)work->own_cpu_ns / 1e3 / (double)work->requests;
	}
	summary = (struct summary){ .per_second = median(rate, runs), .least = rate[0], .most = rate[runs - 1] };
	summary.requests = (double)first->requests; /* the same in each run, but not of each server */
	summary.seconds = summary.requests / summary.per_second;
	summary.mib = summary.per_second * bytes_per_request / (1 << 20);
	summary.cpu_request = median(cpu, runs);
	summary.own = median(own, runs);
	if (first->bytes)
		summary.cpu_gib = summary.cpu_request / 1e6 / bytes_per_request * (1 << 30);
	return summary;
}

/* Processor time of a request, the bench's included: what the wall clock says too where nothing else runs. */
static double cost(const struct summary *summary)
{
	return summary->cpu_request + summary->own;
}

static void print_table(const struct bench *bench, const struct row *row, unsigned depth)
{
	struct summary summaries[SIDES_MAX];
	const struct summary *best = NULL, *cheapest = NULL;

	for (unsigned i = 0; i < bench->n; i++) {
		const struct summary *s = &summaries[i];

		summaries[i] = summarize(&bench->contenders[i], bench->runs);
		if (!bench->contenders[i].side->is_peer)
			continue;
		if (!best || s->seconds < best->seconds)
			best = s;
		if (!cheapest || cost(s) * s->requests < cost(cheapest) * cheapest->requests)
			cheapest = s;
	}
	printf("\n%s: %s, depth %u\n", row->name, row->title, depth);
	printf("  %-32s %10s %10s %10s %8s %9s %9s %9s%s\n", "", "requests/s", "least", "most", "MiB/s", "CPU us",
	       "CPU s/GiB", "bench us", best ? "  to the best peer: by time, by CPU" : "");
	for (unsigned i = 0; i < bench->n; i++) {
		const struct summary *s = &summaries[i];
		const struct side *side = bench->contenders[i].side;

		printf("  %-32s %10.0f %10.0f %10.0f", side->name, s->per_second, s->least, s->most);
		if (s->cpu_gib > 0)
			printf(" %8.0f %9.2f %9.3f", s->mib, s->cpu_request, s->cpu_gib);
		else
			printf(" %8s %9.2f %9s", "", s->cpu_request, "");
		printf(" %9.2f", s->own);
		if (best)
			printf("  %5.2f %5.2f", best->seconds / s->seconds,
			       cost(cheapest) * cheapest->requests / (cost(s) * s->requests));
		if (best && !side->is_peer)
			printf("  (wanted: %.1f: %s)", GOAL, best->seconds >= GOAL * s->seconds ? "yes" : "NO");
		printf("\n");
	}
	fflush(stdout);
}

/* ---- runs ---- */

static const char *const placements[] = { "one", "apart", "free" };

/*
 * On which processors this thread is from now on, and all that it starts. ONE: the first that it may use. APART: the
 * bench has that one and the servers all others, as a vCPU that is busy.
 */
static void stay(enum placement placement, bool server)
{
	static cpu_set_t all;
	cpu_set_t set;
	int first = 0;

	if (placement == FREE)
		return;
	if (!CPU_COUNT(&all) && sched_getaffinity(0, sizeof all, &all))
		err(1, "sched_getaffinity");
	while (!CPU_ISSET(first, &all))
		first++;
	set = all;
	if (placement == APART && server && CPU_COUNT(&all) > 1) {
		CPU_CLR(first, &set);
	} else {
		CPU_ZERO(&set);
		CPU_SET(first, &set);
	}
	if (sched_setaffinity(0, sizeof set, &set))
		err(1, "sched_setaffinity");
}

static void run_row(struct bench *bench, const struct row *row, unsigned depth)
{
	const unsigned scaled = (unsigned)((unsigned long long)row->rounds * bench->scale / 100);
	const unsigned rounds = scaled > depth ? scaled : depth;

	for (unsigned run = 0; run <= bench->runs; run++)
		for (unsigned i = 0; i < bench->n; i++) {
			struct contender *contender = &bench->contenders[i];
			struct work work =
				stream_run(contender->stream, depth, row->before, row->script, row->after, rounds);

			if (run)
				contender->works[run - 1] = work;
			if (work.requests != contender->works[0].requests && run)
				errx(1, "%s: not as many requests in one run as in another", contender->side->name);
		}
	if (row->script[0].action == WRITE)
		fuse_check_files(bench->folder, depth);
	print_table(bench, row, depth);
}

static void add_side(struct bench *bench, struct side *side, const char *why)
{
	if (!side) {
		printf("left out: %s\n", why);
		return;
	}
	bench->contenders[bench->n].side = side;
	bench->contenders[bench->n++].stream = stream_new(side);
	printf("%s: %s\n", side->name, side->queues[1].event_idx ? "EVENT_IDX" : "no EVENT_IDX");
}

static void add_peers(struct bench *bench)
{
	static const char *const usual[] = { "/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd",
		                             "/usr/lib/virtiofsd" };
	const struct side_options options = { .folder = bench->folder, .cache = bench->cache };
	const unsigned named = bench->n_programs;
	char why[512];

	for (unsigned i = 0; !named && i < sizeof usual / sizeof usual[0]; i++)
		if (access(usual[i], X_OK) == 0 && bench->n_programs < 4)
			bench->programs[bench->n_programs++] = usual[i];
	if (!bench->n_programs)
		printf("left out: virtiofsd: there is none (apt-get install qemu-system-common on Debian 12, virtiofsd "
		       "on "
		       "later ones, or say --virtiofsd PATH)\n");
	for (unsigned i = 0; i < bench->n_programs; i++) {
		add_side(bench, side_virtiofsd(&options, bench->programs[i], 0, why, sizeof why), why);
		add_side(bench, side_virtiofsd(&options, bench->programs[i], 64, why, sizeof why), why);
	}
}

static void add_capsa(struct bench *bench)
{
	const struct side_options options = { .folder = bench->folder, .cache = bench->cache };
	const unsigned queues[] = { 1, bench->queues }, n = bench->queues > 1 ? 2 : 1;
	struct side *sides[2] = { NULL, NULL };
	char why[8192];

	side_capsa(&options, queues, n, sides, why, sizeof why);
	for (unsigned i = 0; i < n && (i == 0 || sides[i]); i++)
		add_side(bench, sides[i], why);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
	(void)st;
	(void)kind;
	(void)place;
	return remove(path);
}

/* ---- command line ---- */

static void usage(int status)
{
	printf("usage: fs-ring [OPTION...] [ROW...]\n"
	       "  -n RUNS            counted runs of each side, after one that is not (5)\n"
	       "  -d DEPTH           requests under way at a time; may be repeated (1 and 16)\n"
	       "  -q QUEUES          besides one request queue, capsa with so many (2; 1: only with one)\n"
	       "  -p one|apart|free  all on one processor (default: steady figures); the bench on one, the servers on "
	       "the\n"
	       "                     others; wherever the kernel likes\n"
	       "  -c none|auto|always  cache mode of all sides (auto)\n"
	       "  -D FOLDER          where the shared folder is made (TMPDIR, or /tmp)\n"
	       "  -s PERCENT         amount of work (100)\n"
	       "  --virtiofsd PATH   a peer, in C or in Rust; may be repeated (default: those that distributions "
	       "install)\n"
	       "  --alone            capsa only, for a profile\n"
	       "rows:");
	for (unsigned i = 0; i < N_ROWS; i++)
		printf(" %s", rows[i].name);
	printf("\n");
	exit(status);
}

static unsigned number(const char *text, unsigned most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || !value || value > most)
		errx(2, "%s: a number from 1 to %u", text, most);
	return (unsigned)value;
}

/* The plugin is looked for where this program was built, unless the caller says otherwise. */
static void find_build(void)
{
	char path[4096], *end;
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

	if (n < 0)
		return;
	path[n] = '\0';
	end = strstr(path, "/tests/bench/");
	if (end) {
		*end = '\0';
		setenv("CAPSA_BUILD", path, 0);
	}
}

static void parse(struct bench *bench, int argc, char **argv, char **base)
{
	static const struct option longs[] = { { "virtiofsd", required_argument, NULL, 'v' },
		                               { "alone", no_argument, NULL, 'a' },
		                               { "help", no_argument, NULL, 'h' },
		                               { 0 } };
	int c;

	while ((c = getopt_long(argc, argv, "n:d:q:p:c:D:s:h", longs, NULL)) != -1) {
		switch (c) {
		case 'n':
			bench->runs = number(optarg, RUNS_MAX);
			break;
		case 'd':
			if (bench->n_depths == 4)
				errx(2, "-d: four at most");
			bench->depths[bench->n_depths++] = number(optarg, ACTORS_MAX);
			break;
		case 'q':
			bench->queues = number(optarg, SIDE_QUEUES_MAX);
			break;
		case 'p':
			bench->placement = ONE;
			while (strcmp(optarg, placements[bench->placement]))
				if (++bench->placement > FREE)
					errx(2, "-p %s: one, apart or free", optarg);
			break;
		case 'c':
			bench->cache = optarg;
			break;
		case 'D':
			*base = optarg;
			break;
		case 's':
			bench->scale = number(optarg, 10000);
			break;
		case 'v':
			if (bench->n_programs == 4)
				errx(2, "--virtiofsd: four at most");
			bench->programs[bench->n_programs++] = optarg;
			break;
		case 'a':
			bench->alone = true;
			break;
		default:
			usage(c == 'h' ? 0 : 2);
		}
	}
	if (!bench->n_depths) {
		bench->depths[bench->n_depths++] = 1;
		bench->depths[bench->n_depths++] = 16;
	}
}

static bool wanted(const struct row *row, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (strcmp(*names, row->name) == 0)
			return true;
	return false;
}

static void check_names(char **names)
{
	for (; *names; names++) {
		bool known = false;

		for (unsigned i = 0; i < N_ROWS; i++)
			known |= strcmp(*names, rows[i].name) == 0;
		if (!known)
			errx(2, "%s: no such row; fs-ring --help lists them", *names);
	}
}

static char folder[4096];

/* Also where the bench ends early. */
static void remove_folder(void)
{
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
	static struct bench bench = { .runs = 5, .scale = 100, .queues = 2, .cache = "auto" };
	char *base = getenv("TMPDIR");

	if (!base || !*base)
		base = (char[]){ "/tmp" };
	find_build();
	parse(&bench, argc, argv, &base);
	check_names(argv + optind);
	if ((size_t)snprintf(folder, sizeof folder, "%s/capsa-fs-ring-XXXXXX", base) >= sizeof folder ||
	    !mkdtemp(folder))
		err(1, "%s", base);
	atexit(remove_folder);
	bench.folder = folder;
	fuse_make_files(folder);
	printf("virtio-fs without a guest: %u counted runs, cache=%s, rings of %u\n", bench.runs, bench.cache,
	       QUEUE_SIZE);
	/* Before there are threads: they fork. */
	if (!bench.alone)
		add_peers(&bench);
	add_capsa(&bench);
	stay(bench.placement, false);
	for (unsigned i = 0; bench.n && i < N_ROWS; i++)
		for (unsigned d = 0; wanted(&rows[i], argv + optind) && d < bench.n_depths; d++)
			run_row(&bench, &rows[i], bench.depths[d]);
	for (unsigned i = bench.n; i--;) {
		stream_free(bench.contenders[i].stream);
		bench.contenders[i].side->end(bench.contenders[i].side);
	}
	return bench.n ? 0 : 1;
}
